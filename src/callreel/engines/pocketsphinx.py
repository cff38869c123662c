"""pocketsphinx: the engine that always works, with nothing to download.

Its text of a real phone call is a rough draft (more than half of the words wrong); it times words well. Settings and
figures: reference/speech.md, section 3. It holds the interpreter's lock while it decodes, hence the worker processes.
Options: none.
"""

import re
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pocketsphinx import Decoder, get_model_path

from callreel.domain.errors import EngineError
from callreel.engines.options import known_only
from callreel.engines.profanity import is_profane
from callreel.engines.registry import Options
from callreel.speech.engine import Capabilities, HeardWord

_MODEL = "en-us"
_DICTIONARY = "en-us/cmudict-en-us.dict"
_FRAME_MS = 10
_SHORTEST_SAMPLES = 1600  # 100 ms
_FAINTEST = 100  # from trough to crest; it finds words in digital silence
_VARIANT = re.compile(r"\(\d+\)$")  # `read(2)`: the second pronunciation of a word
_FILLER = ("<", "[", "+")  # `<sil>`, `[NOISE]`, `++BREATH++`


def check(options: Options) -> Capabilities:
    """Raises EngineError if the model is not in the installed package."""
    known_only("pocketsphinx", options, set())
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
    return PocketSphinx(check(options))


class PocketSphinx:
    """An `Engine`. Lower case, no punctuation; `confidence` is the word's posterior."""

    def __init__(self, capabilities: Capabilities) -> None:
        self._capabilities = capabilities
        with tempfile.TemporaryDirectory(prefix="callreel-") as folder:
            dictionary = Path(folder, "words.dict")
            entries = Path(get_model_path(_DICTIONARY)).read_text(encoding="utf-8").splitlines(keepends=True)
            dictionary.write_text("".join(decent(entries)), encoding="utf-8")
            self._decoder = Decoder(dict=str(dictionary), fwdflat=False, bestpath=True, loglevel="FATAL")

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    def decode(self, samples: npt.NDArray[np.int16], *, partial: bool) -> list[HeardWord]:
        """Words in 16 kHz mono samples. Open and closed segments cost the same, about 0.2 s a second of speech."""
        if samples.size < _SHORTEST_SAMPLES or int(samples.max()) - int(samples.min()) < _FAINTEST:
            return []
        self._decoder.start_utt()
        self._decoder.process_raw(samples.tobytes(), no_search=False, full_utt=True)
        self._decoder.end_utt()
        heard = []
        for piece in self._decoder.seg() or ():
            if not piece.word.startswith(_FILLER):
                text = _VARIANT.sub("", piece.word)
                start_ms, end_ms = piece.start_frame * _FRAME_MS, (piece.end_frame + 1) * _FRAME_MS
                heard.append(HeardWord(text, start_ms, end_ms, min(1.0, max(0.0, piece.prob))))
        return heard


def decent(entries: Iterable[str]) -> Iterable[str]:
    """Lines of a pronouncing dictionary (`word  PH ON ES`) without the profane ones."""
    for entry in entries:
        word = entry.split(maxsplit=1)[0] if entry.strip() else ""
        if not is_profane(_VARIANT.sub("", word)):
            yield entry
