"""The process in which an engine lives: `python -P -m callreel.asr.workers.worker FD PARENT_PID`.

It loads one engine, then decodes what it is asked, one job after the other, until the socket FD ends. Open segments of a
streaming engine stay with it between jobs. It is started
and watched by `process`. It imports nothing of the web side, writes nothing to stdout, ignores an interrupt from the
keyboard, and dies with its parent: by the kernel's word on Linux, elsewhere when its socket ends.
"""

import ctypes
import os
import signal
import socket
import sys
import traceback
from collections.abc import Sequence
from dataclasses import replace
from io import BufferedRWPair
from typing import cast

import numpy as np

from callreel.asr.engine import (
    BatchEngine,
    Engine,
    RecognizedWord,
    SegmentStream,
    StreamingEngine,
    language_of,
)
from callreel.asr.engines import registry
from callreel.asr.workers import wire
from callreel.audio.samples import ASR_HZ
from callreel.domain.errors import EngineError

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_NICE = 5  # capture comes before words when the processor is short


def main(descriptor: int, parent_pid: int) -> None:
    _die_with(parent_pid)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(_NICE)
    with socket.socket(fileno=descriptor) as pipe, pipe.makefile("rwb") as stream:
        try:
            _serve(stream)
        except (EOFError, BrokenPipeError, ConnectionResetError):
            pass  # the host is done with us
        os._exit(0)  # an engine's threads and exit handlers have nothing to save


def _die_with(parent_pid: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:  # it died before we asked to be told
        os._exit(0)


def _serve(stream: BufferedRWPair) -> None:
    begin = _receive(stream)
    assert isinstance(begin, wire.Begin)
    try:
        engine = registry.load(registry.EngineChoice(begin.name, begin.options))
        ready = wire.pack(wire.Ready(engine.capabilities))
    except Exception as error:
        _send(stream, wire.pack(wire.Failed(0, _reason(error))))
        return
    _send(stream, ready)
    open_segments = _OpenSegments(engine)
    while True:
        ask = _receive(stream)
        assert not isinstance(ask, wire.Begin)
        try:
            heard = [open_segments.feed(ask)] if isinstance(ask, wire.Feed) else _decode(engine, ask)
            reply: wire.Reply = wire.Answer(ask.job, [_words(*one) for one in heard])
        except Exception as error:
            reply = wire.Failed(ask.job, _reason(error))
        _send(stream, wire.pack(reply))


Heard = tuple[Sequence[RecognizedWord], int]
"""Words, and the length in ms of the audio that they were heard in."""


def _decode(engine: Engine, ask: wire.Ask) -> list[Heard]:
    segments = [np.frombuffer(samples, np.int16) for samples in ask.segments]
    asked = {"language": ask.language} if ask.language else {}
    if len(segments) > 1:
        answers = cast(BatchEngine, engine).decode_many(segments, **asked)
    else:
        answers = [engine.decode(segments[0], partial=ask.partial, **asked)]
    if len(answers) != len(segments):
        raise EngineError(f"the engine answered for {len(answers)} of {len(segments)} segments")
    return [(words, _length_ms(samples.size)) for words, samples in zip(answers, segments, strict=True)]


def _words(words: Sequence[RecognizedWord], duration_ms: int) -> wire.Words:
    return wire.Words([_within(word, duration_ms) for word in words], language_of(words))


class _OpenSegments:
    """Streams by the number that the host gave them. One that fails is gone; the host gives its segment again."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._streams: dict[int, tuple[SegmentStream, int]] = {}

    def feed(self, ask: wire.Feed) -> Heard:
        for number in ask.drop:
            self._drop(number)
        stream, size = self._streams.get(ask.stream) or (cast(StreamingEngine, self._engine).stream(), 0)
        samples = np.frombuffer(ask.samples, np.int16)
        size += samples.size
        self._streams[ask.stream] = stream, size
        try:
            if not ask.close:
                return stream.feed(samples), _length_ms(size)
            words = stream.finish(samples)
            del self._streams[ask.stream]
            return words, _length_ms(size)
        except Exception:
            self._drop(ask.stream)
            raise

    def _drop(self, number: int) -> None:
        stream, _ = self._streams.pop(number, (None, 0))
        if stream is not None:
            stream.drop()


def _length_ms(samples: int) -> int:
    return samples * 1000 // ASR_HZ


def _within(word: RecognizedWord, duration_ms: int) -> RecognizedWord:
    """Some engines place a last word beyond the audio, in their own padding."""
    end_ms = min(max(word.end_ms, 0), duration_ms)
    return replace(word, start_ms=min(max(word.start_ms, 0), end_ms), end_ms=end_ms)


def _reason(error: Exception) -> str:
    """One line. A foreign exception's own message is left out, since it may quote the transcript."""
    if isinstance(error, EngineError):
        return str(error)
    place = traceback.extract_tb(error.__traceback__)[-1]
    return (
        f"the engine failed with {type(error).__name__} at {os.path.basename(place.filename)}:{place.lineno}"
    )


def _receive(stream: BufferedRWPair) -> wire.Request:
    (size_bytes,) = wire.LENGTH.unpack(_exactly(stream, wire.LENGTH.size))
    return wire.request(_exactly(stream, size_bytes))


def _exactly(stream: BufferedRWPair, size_bytes: int) -> bytes:
    data = stream.read(size_bytes)
    if len(data) < size_bytes:
        raise EOFError
    return data


def _send(stream: BufferedRWPair, message: bytes) -> None:
    stream.write(message)
    stream.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
