"""The place of one engine process in a host: the process, and which open segments it follows.

It decides what to send for a segment; it neither waits nor starts processes: `host` does. A process that died took its
streams with it, so the next question about one of its segments begins anew, with all the audio so far.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field

import numpy as np

from callreel.asr.workers import wire
from callreel.asr.workers.process import EngineProcess
from callreel.audio.samples import Samples


@dataclass(frozen=True, slots=True)
class DecodeRequest:
    """A whole segment, or all there is yet of an open one. Without a `key` it is never followed as a stream."""

    samples: Samples
    partial: bool
    key: Hashable | None = None
    cheap: bool = False
    """Whether cheaper settings may be used though the segment is whole."""
    language: str = ""
    more: tuple[Samples, ...] = ()
    """Whole segments to be decoded together with this one."""


@dataclass(slots=True)
class _Followed:
    """A stream of the process, and how many samples it has been given."""

    number: int
    fed: int = 0


@dataclass(slots=True, eq=False)
class WorkerSlot:
    """Empty (`process` None) after a start that failed; the next job then tries again."""

    process: EngineProcess | None = None
    busy: bool = False
    _streams: dict[Hashable, _Followed] = field(default_factory=dict)
    _dropped: list[int] = field(default_factory=list)
    _numbers: int = 0

    @property
    def streams(self) -> int:
        """How many open segments the process follows."""
        return len(self._streams)

    def follows(self, key: Hashable) -> bool:
        return key in self._streams

    def renew(self, process: EngineProcess | None) -> None:
        """Another process sits here now, or none; it knows nothing."""
        self.process = process
        self._streams.clear()
        self._dropped.clear()

    def forget(self, key: Hashable) -> None:
        """The segment is of no more interest. The process is told with the next question about another one."""
        followed = self._streams.pop(key, None)
        if followed is not None:
            self._dropped.append(followed.number)

    def expect(self, question: DecodeRequest, room: int) -> None:
        """From now on the question's segment is followed, if it is open and fewer than `room` others are."""
        key = question.key
        if key is not None and key not in self._streams and question.partial and self.streams < room:
            self._numbers += 1
            self._streams[key] = _Followed(self._numbers)

    def request(self, job: int, question: DecodeRequest) -> wire.Ask | wire.Feed:
        """What to send."""
        followed = None if question.key is None else self._streams.get(question.key)
        if followed is None:
            segments = [_bytes(samples) for samples in (question.samples, *question.more)]
            return wire.Ask(job, segments, question.partial or question.cheap, question.language)
        dropped, self._dropped = self._dropped, []
        rest = _bytes(question.samples[followed.fed :])
        return wire.Feed(job, followed.number, rest, not question.partial, dropped)

    def answered(self, question: DecodeRequest) -> None:
        """The process has taken in what `request` made."""
        followed = None if question.key is None else self._streams.get(question.key)
        if followed is None:
            return
        if question.partial:
            followed.fed = question.samples.size
        else:
            del self._streams[question.key]

    def failed(self, question: DecodeRequest) -> None:
        """The engine could not; the worker has dropped the stream, if it was one."""
        self._streams.pop(question.key, None)


def _bytes(samples: Samples) -> bytes:
    return np.ascontiguousarray(samples, np.int16).tobytes()
