"""Where the words of a segment come from in an evaluation, and what they cost.

Either an engine in its worker processes, or the oracle, which answers with the reference's words in that span: what is
wrong with the oracle's transcript is a fault of the pipeline, not of an engine.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from callreel.asr.engine import Capabilities, RecognizedWord, Transcription, WorkerEngine
from callreel.audio.samples import ASR_SAMPLES_PER_MS, Samples
from callreel.domain.call import Role
from callreel.domain.errors import EngineError
from callreel.evaluation.material import Recorded


@dataclass(frozen=True, slots=True)
class Decoded:
    """An answer. `took_ms` is how long it would take on a machine with nothing else to do, `cpu_s` core-seconds."""

    words: Sequence[RecognizedWord]
    took_ms: float
    cpu_s: float
    failed: bool = False


class Decoding(Protocol):
    """Answers for one recording after the other."""

    @property
    def capabilities(self) -> Capabilities: ...

    def begin(self, recorded: Recorded) -> None:
        """The segments to come are of this recording."""
        ...

    async def decode(
        self, role: Role, start_ms: int, samples16k: Samples, *, partial: bool, cheap: bool = False
    ) -> Decoded:
        """Words in the whole segment that begins at `start_ms`, or in what there is of it yet."""
        ...


class EngineDecoding:
    """An engine in the processes of a host that has been started. One job at a time, so that times do not mix.

    Where the kernel reports what the processes consumed, `took_ms` is that: waiting for a processor that others use is
    left out. Elsewhere, and for an engine on another machine, it is the time on the clock.
    """

    def __init__(self, host: WorkerEngine) -> None:
        self._host = host

    @property
    def capabilities(self) -> Capabilities:
        return self._host.capabilities

    def begin(self, recorded: Recorded) -> None:
        pass

    async def decode(
        self, role: Role, start_ms: int, samples16k: Samples, *, partial: bool, cheap: bool = False
    ) -> Decoded:
        pids = self._host.pids
        cpu_before, began = cpu_seconds(pids), time.monotonic()
        try:
            [words] = await self._host.decode([samples16k], partial=partial or cheap)
            failed = False
        except EngineError:
            words, failed = Transcription(), True
        took_s = time.monotonic() - began
        cpu_after = cpu_seconds(pids)
        if cpu_before is None or cpu_after is None:
            return Decoded(words, 1000 * took_s, 0.0, failed)
        cpu_s = cpu_after - cpu_before
        return Decoded(words, 1000 * (cpu_s if self.capabilities.runs_here else took_s), cpu_s, failed)


class Oracle:
    """Answers with the reference's words whose middle lies in the requested span. Needs word times."""

    def __init__(self, delay_ms: float = 100, *, partials: bool = True) -> None:
        self._delay_ms = delay_ms
        self._recorded: Recorded | None = None
        self.capabilities = Capabilities(
            name="oracle",
            model="reference",
            partials=partials,
            word_times=True,
            confidence=False,
            runs_here=True,
        )

    def begin(self, recorded: Recorded) -> None:
        self._recorded = recorded

    async def decode(
        self, role: Role, start_ms: int, samples16k: Samples, *, partial: bool, cheap: bool = False
    ) -> Decoded:
        assert self._recorded is not None, "begin comes first"
        end_ms = start_ms + samples16k.size // ASR_SAMPLES_PER_MS
        words = [
            RecognizedWord(word.text, word.start_ms - start_ms, word.end_ms - start_ms, None)
            for spoken in self._recorded.spoken
            if spoken.role is role
            for word in spoken.words
            if start_ms <= (word.start_ms + word.end_ms) // 2 < end_ms
        ]
        return Decoded(words, self._delay_ms, 0.0)


def cpu_seconds(pids: Sequence[int]) -> float | None:
    """Processor time that the processes have had, all threads, by Linux's scheduler; None where there is none."""
    try:
        return sum(
            int((task / "schedstat").read_text().split()[0]) / 1e9
            for pid in pids
            for task in Path(f"/proc/{pid}/task").iterdir()
        )
    except (OSError, ValueError, IndexError):
        return None
