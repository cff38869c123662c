"""pocketsphinx: the engine that always works, with nothing to download.

Its text of a real phone call is a rough draft (half of the words wrong); it times words well. Settings and figures:
reference/speech.md, section 3, and docs/words.md. It holds the interpreter's lock while it decodes, hence the worker
processes. Options:
- `front`: `telephone` (default) hears through `telephone_front`, for audio that came over a telephone;
  `wide` uses the model's own front end, for audio that was recorded at 16 kHz, and does not stream.
- `hints`: words to expect, with commas between them. Those that the dictionary lacks are added to it, said as
  `spelling` thinks; the language model gets them as words of their own.
- `streams`: how many open segments each process follows as they grow, 2 by default; each costs 95 MB.
"""

import re
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pocketsphinx import Decoder, get_model_path

from callreel.asr.engine import Capabilities, RecognizedWord
from callreel.asr.engines import options as option
from callreel.asr.engines.profanity import is_profane
from callreel.asr.engines.registry import Options
from callreel.asr.engines.spelling import pronounced
from callreel.asr.engines.telephone_front import CEPSTRA, LiveFront, TelephoneFront
from callreel.audio.resample import Halver
from callreel.domain.errors import EngineError

_MODEL = "en-us"
_DICTIONARY = "en-us/cmudict-en-us.dict"
_FRAME_MS = 10
_WARM_UP_FRAMES = 60
_SHORTEST_SAMPLES = 1600  # 100 ms
_FAINTEST = 100  # from trough to crest; it finds words in digital silence
_VARIANT = re.compile(r"\(\d+\)$")  # `read(2)`: the second pronunciation of a word
_FILLER = ("<", "[", "+")  # `<sil>`, `[NOISE]`, `++BREATH++`
_FRONTS = ("telephone", "wide")
_STREAMS = 2
_STATES, _FEWER_STATES = 30_000, 3_000
"""How many states a frame may keep: pocketsphinx's own default, and what is cheaper (reference/speech.md, 3.2)."""
_FRAMES_AT_ONCE = 16
"""pocketsphinx 5.1.1 writes beyond its buffer when an utterance that is not full gets more than it had at once before."""
_SETTLE_MS = 4000
"""Its last look, over the lattice of the whole segment, changes one word in seven, however old. That gains 3 points, so few
words are promised: those of long segments (docs/words.md)."""
_GUESS_MS = 400
"""Its youngest words change with each look: docs/words.md has what showing them earlier or later would be."""
_NO_MEAN = ",".join(["0"] * CEPSTRA)


def check(options: Options) -> Capabilities:
    """Raises EngineError if the model is not in the installed package, or an option is none of its."""
    option.known_only("pocketsphinx", options, {"front", "hints", "streams"})
    if _front(options) not in _FRONTS:
        raise EngineError(f"engine option front: expected one of {', '.join(_FRONTS)}")
    if not Path(get_model_path(_DICTIONARY)).is_file():
        raise EngineError(
            "engine pocketsphinx: expected its en-us model in the installed package, found none"
        )
    return Capabilities(
        name="pocketsphinx",
        model=_MODEL,
        partials=True,
        word_times=True,
        confidence=True,
        runs_here=True,
        rough=True,
        hints=True,
        settle_ms=_SETTLE_MS,
        guess_ms=_GUESS_MS,
        streams=option.whole(options, "streams", _STREAMS, least=0) if _front(options) == "telephone" else 0,
    )


def load(options: Options) -> "PocketSphinx":
    """About 0.5 s and 95 MB for each decoder; two are made at once, a third when it is first needed."""
    capabilities = check(options)
    front = TelephoneFront.shipped() if _front(options) == "telephone" else None
    words = re.split(r"[\s,]+", option.text(options, "hints"))
    return PocketSphinx(capabilities, front, list(dict.fromkeys(word for word in words if word)))


class PocketSphinx:
    """A `StreamingEngine`. Lower case, no punctuation; `confidence` is the word's posterior, 1 while a segment is open.

    Without a `front` it uses the model's own, which expects sound above 4 kHz, and does not stream. A decoder holds one
    utterance at a time, so there is one for each open segment and one for whole segments.
    """

    def __init__(
        self, capabilities: Capabilities, front: TelephoneFront | None, hints: Sequence[str] = ()
    ) -> None:
        self._capabilities = capabilities
        self._front = front
        self._hints = hints
        self._cheap: Decoder | None = None
        self._free = [_decoder(hints, warm=front is not None)]
        if capabilities.streams:
            self._free.append(_decoder(hints, warm=True))

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    def decode(self, samples: npt.NDArray[np.int16], *, partial: bool) -> list[RecognizedWord]:
        """Words in 16 kHz mono samples: about 0.15 s a second of speech, a fifth less and more errors if `partial`.

        Layer 2 holds every sample of the telephone's 8 kHz and nothing above 4 kHz, so halving its rate loses nothing.
        """
        if samples.size < _SHORTEST_SAMPLES or _is_faint(samples):
            return []
        decoder = self._cheaper() if partial else self._take()
        try:
            decoder.start_utt()
            if self._front is None:
                decoder.process_raw(samples.tobytes(), no_search=False, full_utt=True)
            else:
                halver = Halver()
                narrow = np.concatenate([halver.push(samples), halver.finish()])
                decoder.process_cep(_bytes(self._front.cepstra(narrow)), no_search=False, full_utt=True)
            decoder.end_utt()
            return _words(decoder)
        finally:
            if decoder is not self._cheap:
                self._free.append(decoder)

    def stream(self) -> "PocketSphinxStream":
        if self._front is None:
            raise EngineError("engine pocketsphinx: the front end wide does not stream")
        return PocketSphinxStream(self._take(), LiveFront(self._front), self._free.append)

    def _cheaper(self) -> Decoder:
        """Made when it is first needed: by an open segment that nobody follows, or when there is no time."""
        if self._cheap is None:
            self._cheap = _decoder(self._hints, warm=self._front is not None, maxhmmpf=_FEWER_STATES)
        return self._cheap

    def _take(self) -> Decoder:
        return self._free.pop() if self._free else _decoder(self._hints, warm=True)


class PocketSphinxStream:
    """A `SegmentStream`: each sample is decoded once. `give_back` gets the decoder when the stream is over."""

    def __init__(self, decoder: Decoder, front: LiveFront, give_back: Callable[[Decoder], None]) -> None:
        self._decoder = decoder
        self._front = front
        self._give_back = give_back
        self._halver = Halver()
        self._faint = True
        # The front end removes the level, and what the last utterance had is nothing to this one.
        decoder.set_cmn(_NO_MEAN)
        decoder.start_utt()

    def feed(self, samples: npt.NDArray[np.int16]) -> list[RecognizedWord]:
        self._faint = self._faint and _is_faint(samples)
        self._search(self._front.push(self._halver.push(samples)))
        return _words(self._decoder) if not self._faint else []

    def finish(self, samples: npt.NDArray[np.int16]) -> list[RecognizedWord]:
        self._faint = self._faint and _is_faint(samples)
        narrow = np.concatenate([self._halver.push(samples), self._halver.finish()])
        self._search(self._front.finish(narrow))
        self._decoder.end_utt()
        words = _words(self._decoder) if not self._faint else []
        self._give_back(self._decoder)
        return words

    def drop(self) -> None:
        self._decoder.end_utt()
        self._give_back(self._decoder)

    def _search(self, cepstra: npt.NDArray[np.float32]) -> None:
        for at in range(0, len(cepstra), _FRAMES_AT_ONCE):
            piece = _bytes(cepstra[at : at + _FRAMES_AT_ONCE])
            self._decoder.process_cep(piece, no_search=False, full_utt=False)


def _decoder(hints: Sequence[str], *, warm: bool, maxhmmpf: int = _STATES) -> Decoder:
    with tempfile.TemporaryDirectory(prefix="callreel-") as folder:
        dictionary = Path(folder, "words.dict")
        entries = Path(get_model_path(_DICTIONARY)).read_text(encoding="utf-8").splitlines(keepends=True)
        dictionary.write_text("".join(decent(entries)), encoding="utf-8")
        decoder = Decoder(
            dict=str(dictionary), fwdflat=False, bestpath=True, maxhmmpf=maxhmmpf, loglevel="FATAL"
        )
    _expect(decoder, hints)
    if warm:
        # A fresh decoder without fwdflat has no words for its first cepstra (reference/speech.md, 3.6).
        decoder.start_utt()
        nothing = np.zeros((_WARM_UP_FRAMES, CEPSTRA), np.float32)
        decoder.process_cep(_bytes(nothing), no_search=False, full_utt=True)
        decoder.end_utt()
    return decoder


def _expect(decoder: Decoder, hints: Sequence[str]) -> None:
    new = {
        word.lower(): phones
        for word in hints
        if not decoder.lookup_word(word.lower()) and (phones := pronounced(word, decoder.lookup_word))
    }
    for left, (word, phones) in zip(range(len(new) - 1, -1, -1), new.items(), strict=True):
        decoder.add_word(word, phones, left == 0)  # the search is made anew once, after the last


def _words(decoder: Decoder) -> list[RecognizedWord]:
    """What the decoder has by now."""
    heard = []
    for piece in decoder.seg() or ():
        if not piece.word.startswith(_FILLER):
            text = _VARIANT.sub("", piece.word)
            start_ms, end_ms = piece.start_frame * _FRAME_MS, (piece.end_frame + 1) * _FRAME_MS
            heard.append(RecognizedWord(text, start_ms, end_ms, min(1.0, max(0.0, piece.prob))))
    return heard


def _bytes(cepstra: npt.NDArray[np.float32]) -> bytes:
    return cepstra.astype("<f4").tobytes()


def _is_faint(samples: npt.NDArray[np.int16]) -> bool:
    return not samples.size or int(samples.max()) - int(samples.min()) < _FAINTEST


def decent(entries: Iterable[str]) -> Iterable[str]:
    """Lines of a pronouncing dictionary (`word  PH ON ES`) without the profane ones."""
    for entry in entries:
        word = entry.split(maxsplit=1)[0] if entry.strip() else ""
        if not is_profane(_VARIANT.sub("", word)):
            yield entry


def _front(options: Options) -> str:
    return option.text(options, "front", "telephone")
