"""The process in which an engine lives: `python -P -m callreel.asr.workers.worker FD PARENT_PID NICE`.

It loads one engine, then decodes one job after the other until the socket FD ends. It imports nothing of the web side,
writes nothing to stdout, ignores an interrupt from the keyboard, and dies with its parent: on Linux by the kernel,
elsewhere when its socket ends.
"""

import ctypes
import os
import signal
import socket
import sys
import traceback
from io import BufferedRWPair
from typing import cast

import numpy as np

from callreel.asr.engine import BatchEngine, Engine, Transcription
from callreel.asr.engines import registry
from callreel.asr.workers import wire
from callreel.asr.workers.answers import checked, detected
from callreel.audio.samples import ASR_HZ
from callreel.domain.errors import EngineError

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(descriptor: int, parent_pid: int, nice: int) -> None:
    _die_with(parent_pid)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(nice)
    with socket.socket(fileno=descriptor) as pipe, pipe.makefile("rwb") as stream:
        try:
            _serve(stream)
        except (EOFError, BrokenPipeError, ConnectionResetError):
            pass  # the server is done with us
        os._exit(0)  # an engine's threads and exit handlers have nothing to save


def _die_with(parent_pid: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:  # it died before prctl took effect
        os._exit(0)


def _serve(stream: BufferedRWPair) -> None:
    load = _receive(stream)
    assert isinstance(load, wire.Load)
    try:
        engine = registry.load(registry.EngineChoice(load.name, load.options))
        ready = wire.pack(wire.Ready(engine.capabilities))
    except Exception as error:
        _send(stream, wire.pack(wire.Failed(0, _reason(error))))
        return
    _send(stream, ready)
    while True:
        request = _receive(stream)
        assert isinstance(request, wire.Decode)
        try:
            reply = wire.pack(wire.Decoded(request.job, _decode(engine, request)))
        except Exception as error:
            reply = wire.pack(wire.Failed(request.job, _reason(error)))
        _send(stream, reply)


def _decode(engine: Engine, request: wire.Decode) -> list[wire.Words]:
    segments = [np.frombuffer(samples, np.int16) for samples in request.segments]
    language = {"language": request.language} if request.language else {}
    if len(segments) > 1:
        results = cast(BatchEngine, engine).decode_many(segments, **language)
    else:
        results = [engine.decode(segments[0], partial=request.partial, **language)]
    if len(results) != len(segments):
        raise EngineError(f"the engine answered for {len(results)} of {len(segments)} segments")
    return [
        wire.Words(
            checked(words, samples.size * 1000 // ASR_HZ),
            detected(words.language) if isinstance(words, Transcription) else "",
        )
        for words, samples in zip(results, segments, strict=True)
    ]


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
    return wire.decode_request(_exactly(stream, size_bytes))


def _exactly(stream: BufferedRWPair, size_bytes: int) -> bytes:
    data = stream.read(size_bytes)
    if len(data) < size_bytes:
        raise EOFError
    return data


def _send(stream: BufferedRWPair, message: bytes) -> None:
    stream.write(message)
    stream.flush()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
