"""The fake engine: it says what its options tell it to, and dies when they tell it to.

Name it `python:tests.asr.scripted`. Options, all optional:
- `text`: lines parted by `|`; each closed segment gets the next one, from the first again after the last. A partial
  gets the first half of the line that comes next. Each process counts for itself, so use one worker for an order.
- `echo`: true answers one word instead, the value of the first sample, so that answers can be reported apart.
- `delay_s`: how long each decode takes.
- `deaths`, `folder`: so many decodes, over all processes, end in SIGKILL; `folder` is where the dead are counted.
- `hang`: true makes each decode take for ever.
- `complaint`: load fails with this EngineError. `grumble`: each decode does.
- `trouble`: a path; while there is a file of that name, load and decode fail.
- `partials`: false for an engine that is not asked about open segments.
- `batch`: how many segments it takes at once; each answers as `echo` does, and how many there were is its confidence.
- `languages`: codes separated by `|` that it supports on request; the requested one precedes all words.
- `times`: false gives each word NaN as its start and end, and a NUL before its text.
- `short`: true leaves the last answer of a batch out.
"""

import math
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt

from callreel.asr.engine import Capabilities, RecognizedWord, Transcription
from callreel.asr.engines import options as option
from callreel.asr.engines.registry import Options
from callreel.asr.engines.spread import spread
from callreel.domain.errors import EngineError

_KNOWN = {
    "text",
    "echo",
    "delay_s",
    "deaths",
    "folder",
    "hang",
    "complaint",
    "grumble",
    "partials",
    "trouble",
    "batch",
    "languages",
    "short",
    "times",
}


def check(options: Options) -> Capabilities:
    option.reject_unknown("scripted", options, _KNOWN)
    if "complaint" in options:
        raise EngineError(option.text(options, "complaint"))
    return Capabilities(
        name="scripted",
        model="script",
        partials=option.flag(options, "partials", True),
        word_times=True,
        confidence=True,
        runs_here=True,
        batch=option.whole(options, "batch", 1),
        on_request=tuple(filter(None, option.text(options, "languages").split("|"))),
    )


def load(options: Options) -> "Scripted":
    _complain(options)
    return Scripted(check(options), options)


def _complain(options: Options) -> None:
    if "trouble" in options and Path(option.text(options, "trouble")).exists():
        raise EngineError("the engine is in trouble")


class Scripted:
    def __init__(self, capabilities: Capabilities, options: Options) -> None:
        self.capabilities = capabilities
        self._lines = [line.split() for line in option.text(options, "text", "hello there").split("|")]
        self._options = options
        self._finals = 0

    def decode(
        self, samples: npt.NDArray[np.int16], *, partial: bool, language: str = ""
    ) -> list[RecognizedWord]:
        self._misbehave()
        if option.flag(self._options, "echo", False):
            return Transcription(self._say(f"{language} {samples[0]}".strip(), samples), language="xx")
        line = self._lines[self._finals % len(self._lines)]
        if partial:
            return self._say(" ".join(line[: len(line) // 2]), samples)
        self._finals += 1
        return self._say(" ".join(line), samples)

    def decode_many(
        self, segments: Sequence[npt.NDArray[np.int16]], *, language: str = ""
    ) -> list[list[RecognizedWord]]:
        decoded = [self.decode(samples, partial=False, language=language) for samples in segments]
        decoded = [
            Transcription([*words, RecognizedWord(f"of{len(segments)}", 0, 0, None)], language="xx")
            for words in decoded
        ]
        return decoded[:-1] if option.flag(self._options, "short", False) else decoded

    def _say(self, text: str, samples: npt.NDArray[np.int16]) -> list[RecognizedWord]:
        words = spread(text, 0, samples.size // 16, confidence=0.9)
        if option.flag(self._options, "times", True):
            return words
        nan = cast(int, math.nan)
        return [RecognizedWord("\0" + word.text, nan, nan, math.nan) for word in words]

    def _misbehave(self) -> None:
        _complain(self._options)
        if "delay_s" in self._options:
            time.sleep(option.number(self._options, "delay_s", 1))
        if "grumble" in self._options:
            raise EngineError(option.text(self._options, "grumble"))
        if option.flag(self._options, "hang", False):
            signal.pause()
        folder = Path(option.text(self._options, "folder"))
        for number in range(option.whole(self._options, "deaths", 0, least=0)):
            try:
                (folder / f"dead-{number}").touch(exist_ok=False)
            except FileExistsError:
                continue
            os.kill(os.getpid(), signal.SIGKILL)
