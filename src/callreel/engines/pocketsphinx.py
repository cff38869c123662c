"""pocketsphinx: the engine that always works, with nothing to download.

Its text of a real phone call is a rough draft (half of the words wrong); it times words well. Settings and figures:
reference/speech.md, section 3, and docs/words.md. It holds the interpreter's lock while it decodes, hence the worker
processes. Options:
- `front`: `telephone` (default) hears through `telephone_front`, for audio that came over a telephone;
  `wide` uses the model's own front end, for audio that was recorded at 16 kHz.
"""

import re
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pocketsphinx import Decoder, get_model_path

from callreel.audio.resample import to_rate
from callreel.domain.errors import EngineError
from callreel.engines import options as option
from callreel.engines.profanity import is_profane
from callreel.engines.registry import Options
from callreel.engines.telephone_front import CEPSTRA, RATE_HZ, TelephoneFront
from callreel.speech.engine import Capabilities, HeardWord

_MODEL = "en-us"
_DICTIONARY = "en-us/cmudict-en-us.dict"
_ENGINE_HZ = 16000
_FRAME_MS = 10
_WARM_UP_FRAMES = 60
_SHORTEST_SAMPLES = 1600  # 100 ms
_FAINTEST = 100  # from trough to crest; it finds words in digital silence
_VARIANT = re.compile(r"\(\d+\)$")  # `read(2)`: the second pronunciation of a word
_FILLER = ("<", "[", "+")  # `<sil>`, `[NOISE]`, `++BREATH++`
_FRONTS = ("telephone", "wide")


def check(options: Options) -> Capabilities:
    """Raises EngineError if the model is not in the installed package, or an option is none of its."""
    option.known_only("pocketsphinx", options, {"front"})
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
    )


def load(options: Options) -> "PocketSphinx":
    """About 0.4 s and 95 MB."""
    capabilities = check(options)
    return PocketSphinx(capabilities, TelephoneFront.shipped() if _front(options) == "telephone" else None)


class PocketSphinx:
    """An `Engine`. Lower case, no punctuation; `confidence` is the word's posterior.

    Without a `front` it uses the model's own, which expects sound above 4 kHz.
    """

    def __init__(self, capabilities: Capabilities, front: TelephoneFront | None) -> None:
        self._capabilities = capabilities
        self._front = front
        with tempfile.TemporaryDirectory(prefix="callreel-") as folder:
            dictionary = Path(folder, "words.dict")
            entries = Path(get_model_path(_DICTIONARY)).read_text(encoding="utf-8").splitlines(keepends=True)
            dictionary.write_text("".join(decent(entries)), encoding="utf-8")
            self._decoder = Decoder(dict=str(dictionary), fwdflat=False, bestpath=True, loglevel="FATAL")
        if front is not None:
            # A fresh decoder without fwdflat has no words for its first cepstra (reference/speech.md, 3.6).
            self._search_cepstra(np.zeros((_WARM_UP_FRAMES, CEPSTRA), np.float32))

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    def decode(self, samples: npt.NDArray[np.int16], *, partial: bool) -> list[HeardWord]:
        """Words in 16 kHz mono samples. Open and closed segments cost the same, about 0.15 s a second of speech.

        Layer 2 holds every sample of the telephone's 8 kHz and nothing above 4 kHz, so halving its rate loses nothing.
        """
        if samples.size < _SHORTEST_SAMPLES or int(samples.max()) - int(samples.min()) < _FAINTEST:
            return []
        if self._front is None:
            self._search_samples(samples)
        else:
            self._search_cepstra(self._front.cepstra(to_rate(samples, _ENGINE_HZ, RATE_HZ)))
        heard = []
        for piece in self._decoder.seg() or ():
            if not piece.word.startswith(_FILLER):
                text = _VARIANT.sub("", piece.word)
                start_ms, end_ms = piece.start_frame * _FRAME_MS, (piece.end_frame + 1) * _FRAME_MS
                heard.append(HeardWord(text, start_ms, end_ms, min(1.0, max(0.0, piece.prob))))
        return heard

    def _search_samples(self, samples: npt.NDArray[np.int16]) -> None:
        self._decoder.start_utt()
        self._decoder.process_raw(samples.tobytes(), no_search=False, full_utt=True)
        self._decoder.end_utt()

    def _search_cepstra(self, cepstra: npt.NDArray[np.float32]) -> None:
        self._decoder.start_utt()
        self._decoder.process_cep(cepstra.astype("<f4").tobytes(), no_search=False, full_utt=True)
        self._decoder.end_utt()


def decent(entries: Iterable[str]) -> Iterable[str]:
    """Lines of a pronouncing dictionary (`word  PH ON ES`) without the profane ones."""
    for entry in entries:
        word = entry.split(maxsplit=1)[0] if entry.strip() else ""
        if not is_profane(_VARIANT.sub("", word)):
            yield entry


def _front(options: Options) -> str:
    return option.text(options, "front", "telephone")
