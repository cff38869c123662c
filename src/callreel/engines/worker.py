"""The process in which an engine lives: `python -P -m callreel.engines.worker FD PARENT_PID`.

It loads one engine, then decodes what it is asked, one job after the other, until the socket FD ends. It is started
and watched by `process`. It imports nothing of the web side, writes nothing to stdout, ignores an interrupt from the
keyboard, and dies with its parent: by the kernel's word on Linux, elsewhere when its socket ends.
"""

import ctypes
import os
import signal
import socket
import sys
import traceback
from dataclasses import replace
from io import BufferedRWPair

import numpy as np

from callreel.domain.errors import EngineError
from callreel.engines import registry, wire
from callreel.speech.engine import Engine, HeardWord

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_RATE_HZ = 16000
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
    while True:
        ask = _receive(stream)
        assert isinstance(ask, wire.Ask)
        _send(stream, _decode(engine, ask))


def _decode(engine: Engine, ask: wire.Ask) -> bytes:
    try:
        samples = np.frombuffer(ask.samples, np.int16)
        words = engine.decode(samples, partial=ask.partial)
        duration_ms = samples.size * 1000 // _RATE_HZ
        return wire.pack(wire.Answer(ask.job, [_within(word, duration_ms) for word in words]))
    except Exception as error:
        return wire.pack(wire.Failed(ask.job, _reason(error)))


def _within(word: HeardWord, duration_ms: int) -> HeardWord:
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
