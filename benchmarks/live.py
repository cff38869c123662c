"""The latency of Callreel's own path from a segment's end to the browser's event, with an engine that costs nothing.

    python -m benchmarks.live --audio ../shared/audio/LJ001-0002.wav --calls 4 --seconds 30 [--block-ms 160] [--json]

A segment ends when the audio that closes it has been sent: its speech and the silence that the detector waits for. The
measured latency is the rest: blocks, detection, resampling, the engine's process, the database, the event.
"""

import argparse
import asyncio
import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import httpx2
import numpy as np
from websockets.asyncio.client import connect

from benchmarks.server import ACCOUNT, Server, machine
from callreel.audio import mulaw
from callreel.audio.resample import to_rate
from callreel.audio.samples import Samples
from callreel.domain.call import Track
from callreel.domain.ids import LegSid, StreamSid
from callreel.simulator.calls.stream_sender import StreamSender
from callreel.store.files.sound_files import read_wav

FRAME_MS = 20
PAUSE_MS = 900
MIN_SILENCE_MS, POST_MS = 500, 450
BOUND_MS = 100.0


@dataclass(frozen=True, slots=True)
class ReceivedFinal:
    """A final as the browser received it."""

    at_s: float
    end_ms: int


def speech(path: Path, seconds: int) -> bytes:
    """The recording over and over with pauses, as mu-law at 8 kHz."""
    samples, rate_hz = read_wav(path)
    once = to_rate(np.ascontiguousarray(samples[:, 0]), rate_hz, 8_000)
    pieces = [once[at : at + 20_000] for at in range(0, once.size - 20_000, 20_000)] or [once]
    turn = np.concatenate([part for piece in pieces for part in (piece, np.zeros(PAUSE_MS * 8, np.int16))])
    whole: Samples = np.tile(turn, -(-seconds * 8_000 // turn.size))[: seconds * 8_000]
    return mulaw.encode(whole)


async def one_call(server: Server, number: int, codes: bytes, *, linger_s: float = 0.0) -> list[float]:
    """Latencies in ms of one call's finals that were closed by silence; finals later than `linger_s` are not counted."""
    leg_sid = LegSid(f"CA{number:032x}")
    token = await asyncio.to_thread(server.new_call, leg_sid)
    listed = await asyncio.to_thread(lambda: server.client.get("/api/v1/calls").json()["calls"])
    [call_id] = [call["call_id"] for call in listed if call["call_sid"] == leg_sid]
    received: list[ReceivedFinal] = []
    async with httpx2.AsyncClient(base_url=server.url, timeout=None) as browser:
        listening = asyncio.create_task(_listen(browser, call_id, received))
        began_s = await _speak(
            server, StreamSender(StreamSid(f"MZ{number:032x}"), leg_sid, ACCOUNT), token, codes
        )
        await asyncio.sleep(linger_s)
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
    closing_s = [began_s + (final.end_ms - POST_MS + MIN_SILENCE_MS) / 1000 for final in received]
    return [1000 * (final.at_s - closed) for final, closed in zip(received, closing_s, strict=True)]


async def _listen(browser: httpx2.AsyncClient, call_id: str, received: list[ReceivedFinal]) -> None:
    async with browser.stream("GET", f"/calls/{call_id}/events") as answer:
        kind = ""
        async for line in answer.aiter_lines():
            if line.startswith("event: "):
                kind = line[7:]
            elif line.startswith("data: ") and kind == "final":
                received.append(ReceivedFinal(time.monotonic(), json.loads(line[6:])["end_ms"]))


async def _speak(server: Server, sender: StreamSender, token: str, codes: bytes) -> float:
    """Both tracks at real-time pace, the same words half a turn apart; returns the time at which the stream's clock started."""
    url = f"ws{server.url.removeprefix('http')}/twilio/media-stream"
    async with connect(
        url, additional_headers={"x-twilio-signature": server.signature}, proxy=None
    ) as socket:
        await socket.send(sender.connected())
        await socket.send(sender.start(parameters={"token": token}))
        began_s = time.monotonic()
        half = len(codes) // 320 * 160
        for at in range(0, len(codes), 160):
            # A frame can be sent when its last sample has been spoken.
            await asyncio.sleep(began_s + (at // 8 + FRAME_MS) / 1000 - time.monotonic())
            await socket.send(sender.media(Track.INBOUND, at // 8, codes[at : at + 160]))
            other = (at + half) % len(codes)
            await socket.send(sender.media(Track.OUTBOUND, at // 8, codes[other : other + 160]))
    return began_s


async def measure(audio: Path, calls: int, seconds: int, settings: dict[str, str]) -> list[float]:
    with tempfile.TemporaryDirectory(prefix="callreel-live-") as name:
        with Server(Path(name), settings) as server:
            codes = speech(audio, seconds)
            answers = await asyncio.gather(*(one_call(server, number, codes) for number in range(calls)))
    return [latency for answer in answers for latency in answer]


def main() -> None:
    parser = argparse.ArgumentParser(description="From a segment's end to the browser's event.")
    parser.add_argument(
        "--audio", type=Path, default=Path("../shared/audio/LJ001-0002.wav"), help="speech, WAV"
    )
    parser.add_argument("--calls", type=int, default=4)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--block-ms", type=int, default=None, help="CALLREEL_BLOCK_MS of the server")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if not given.audio.exists():
        parser.error(f"there is no {given.audio}: name a WAV file with speech")
    settings = {} if given.block_ms is None else {"CALLREEL_BLOCK_MS": str(given.block_ms)}
    latencies = asyncio.run(measure(given.audio, given.calls, given.seconds, settings))
    p50, p95, p99 = (round(float(value), 1) for value in np.percentile(latencies, (50, 95, 99)))
    report = {"machine": machine(), "segments": len(latencies), "p50_ms": p50, "p95_ms": p95, "p99_ms": p99, "bound_p95_ms": BOUND_MS, "within": p95 <= BOUND_MS}  # fmt: skip
    if given.json:
        print(json.dumps(report, indent=2))
        return
    for label, value in report.items():
        print(f"{label:16}{value}")


if __name__ == "__main__":
    main()
