"""How many live-transcribed calls a machine carries with the latencies of docs/words.md, and what gives way first.

    python -m benchmarks.carry ../shared/audio/calls/manifest.tsv --calls 1 2 4 8 [--json]

For each number of calls a server of its own, in real time. The calls are those of the manifest, two channels with known
words, each repeated for `--seconds`, begun one after the other. Their words arrive as a browser gets them. Carried means:
words are shown within 0.6 s of their end at P50 and 1.0 s at P95, finals within 1.2 s of the speech's end at P95, and no
final is missing. Under load partials are shed first, and the live page says so. The senders run on the same machine and
take a few percent of a core a call, so the number is a little low.
"""

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
from websockets.asyncio.client import connect

from benchmarks.server import ACCOUNT, Server, machine
from callreel.asr.stability import Showing
from callreel.audio import mulaw
from callreel.audio.samples import SAMPLES_PER_MS
from callreel.demo.event_stream import events
from callreel.domain.call import Role, Track
from callreel.domain.ids import LegSid, StreamSid
from callreel.domain.transcript import Final, Segment, Word
from callreel.evaluation.evaluate import errors, live_delays, said_by
from callreel.evaluation.material import Recorded, read_material
from callreel.evaluation.scores import Spoken, SpokenWord, WordErrors, percentile
from callreel.evaluation.simulated_live import DeliveredFinal, LiveRun, ShownPartial
from callreel.simulator.calls.stream_sender import StreamSender

FRAME_MS = 20
LINGER_S = 5.0
"""How long finals are awaited after the last word."""
PARTIAL_P50_MS, PARTIAL_P95_MS, FINAL_P95_MS = 600, 1_000, 1_200


@dataclass(frozen=True, slots=True)
class Playing:
    """A call as it is sent: mu-law of both parties, shape [n] each, and what is said in it."""

    recorded: Recorded
    codes: dict[Role, bytes]


@dataclass(slots=True)
class Received:
    """What a browser received of one call, on the call's clock, and how late each frame was sent."""

    run: LiveRun = field(default_factory=LiveRun)
    send_delays_ms: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Carried:
    """One number of calls. `core_share`: of the server and its engines; times in milliseconds."""

    calls: int
    carried: bool
    words: int
    wer: float
    partial_p50_ms: float
    partial_p95_ms: float
    final_p50_ms: float
    final_p95_ms: float
    finals: int
    finals_lost: int
    partials_shed: int
    core_share: float
    core_s_per_call_s: float
    generator_late_p99_ms: float


def playing(recorded: Recorded, seconds: int) -> Playing:
    """The call over and over for `seconds`."""
    lanes = recorded.lanes()
    longest = max(lane.size for lane in lanes.values())
    rounds = -(-seconds * 1000 * SAMPLES_PER_MS // longest)
    spoken = tuple(
        _later(one, turn * longest // SAMPLES_PER_MS) for turn in range(rounds) for one in recorded.spoken
    )
    kept = tuple(one for one in spoken if one.end_ms < 1000 * seconds)
    codes = {
        role: mulaw.encode(
            np.tile(np.pad(lane, (0, longest - lane.size)), rounds)[: seconds * 1000 * SAMPLES_PER_MS]
        )
        for role, lane in lanes.items()
    }
    return Playing(replace(recorded, spoken=kept), codes)


def _later(spoken: Spoken, by_ms: int) -> Spoken:
    words = tuple(SpokenWord(word.text, word.start_ms + by_ms, word.end_ms + by_ms) for word in spoken.words)
    return replace(spoken, start_ms=spoken.start_ms + by_ms, end_ms=spoken.end_ms + by_ms, words=words)


async def measure(
    material: Sequence[Recorded], calls: int, seconds: int, settings: dict[str, str]
) -> Carried:
    with tempfile.TemporaryDirectory(prefix="callreel-carry-") as name:
        with Server(Path(name), settings) as server:
            played = [playing(material[number % len(material)], seconds) for number in range(calls)]
            before, began_s = server.usage().cpu_s, time.monotonic()
            received = await asyncio.gather(*(one_call(server, at, one) for at, one in enumerate(played)))
            used_s, took_s = server.usage().cpu_s - before, time.monotonic() - began_s
            shed = await asyncio.to_thread(_metric, server, "callreel_partials_shed_total")
            lost = [
                await asyncio.to_thread(_metric, server, f"callreel_{name}")
                for name in ("finals_waiting", "finals_spilled", "segments_failed_total")
            ]
    partials, finals, wrong = list[int](), list[int](), WordErrors()
    for one, answer in zip(played, received, strict=True):
        wrong += errors(one.recorded, [given.final for given in answer.run.finals])
        for role in one.codes:
            delays = live_delays(said_by(one.recorded, role), answer.run, role)
            partials += delays.partial_ms
            finals += delays.final_ms
    p50, p95, final_p50, final_p95 = (
        percentile(values, percent) or float("inf")
        for values, percent in ((partials, 50), (partials, 95), (finals, 50), (finals, 95))
    )
    late = [ms for answer in received for ms in answer.send_delays_ms]
    within = p50 <= PARTIAL_P50_MS and p95 <= PARTIAL_P95_MS and final_p95 <= FINAL_P95_MS
    return Carried(
        calls, within and not sum(lost), wrong.words, round(wrong.rate or 0.0, 4), p50, p95, final_p50, final_p95,
        sum(len(answer.run.finals) for answer in received), sum(lost), shed, round(used_s / took_s, 2),
        round(used_s / (calls * seconds), 3), percentile(late, 99) or 0,
    )  # fmt: skip


async def one_call(server: Server, number: int, playing: Playing) -> Received:
    """Send one call, begun 1.3 s after the one before it, while a browser follows it."""
    await asyncio.sleep(1.3 * number)
    leg_sid = LegSid(f"CA{number:032x}")
    token = await asyncio.to_thread(server.new_call, leg_sid)
    listed = await asyncio.to_thread(lambda: server.client.get("/api/v1/calls").json()["calls"])
    [call_id] = [call["call_id"] for call in listed if call["call_sid"] == leg_sid]
    received, began = Received(), asyncio.get_running_loop().create_future()
    async with httpx2.AsyncClient(base_url=server.url, timeout=None) as browser:
        listening = asyncio.create_task(_listen(browser, call_id, began, received.run))
        await _speak(
            server,
            StreamSender(StreamSid(f"MZ{number:032x}"), leg_sid, ACCOUNT),
            token,
            playing,
            began,
            received,
        )
        await asyncio.sleep(LINGER_S)
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
    return received


async def _listen(
    browser: httpx2.AsyncClient, call_id: str, began: "asyncio.Future[float]", run: LiveRun
) -> None:
    async with browser.stream("GET", f"/calls/{call_id}/events") as answer:
        async for event in events(answer.aiter_lines()):
            if event.kind not in ("partial", "final"):
                continue
            at_ms, data = 1000 * (time.monotonic() - await began), _Data(event.data)
            if event.kind == "final":
                run.finals.append(DeliveredFinal(Final(data.segment, data.words("text")), at_ms))
            else:
                showing = Showing(data.words("stable"), data.words("tentative"))
                run.partials.append(ShownPartial(data.segment.role, data.segment.number, at_ms, showing))


class _Data:
    """The fields of a partial or a final."""

    def __init__(self, data: dict[str, Any]) -> None:
        self._data = data
        self.segment = Segment(Role(data["role"]), data["number"], data["start_ms"], data["end_ms"])

    def words(self, name: str) -> tuple[Word, ...]:
        return tuple(
            Word(text, self.segment.start_ms, self.segment.end_ms, None) for text in self._data[name].split()
        )


async def _speak(
    server: Server,
    sender: StreamSender,
    token: str,
    playing: Playing,
    began: "asyncio.Future[float]",
    received: Received,
) -> None:
    """Both parties at real-time pace; sets `began` to the time at which the stream's clock started."""
    url = f"ws{server.url.removeprefix('http')}/twilio/media-stream"
    tracks = ((Track.INBOUND, Role.AGENT), (Track.OUTBOUND, Role.TECHNICIAN))
    async with connect(
        url, additional_headers={"x-twilio-signature": server.signature}, proxy=None
    ) as socket:
        await socket.send(sender.connected())
        await socket.send(sender.start(parameters={"token": token}))
        began_s = time.monotonic()
        began.set_result(began_s)
        for at in range(0, len(playing.codes[Role.AGENT]), FRAME_MS * SAMPLES_PER_MS):
            # A frame can be sent when its last sample has been spoken.
            due_s = began_s + (at // SAMPLES_PER_MS + FRAME_MS) / 1000
            await asyncio.sleep(due_s - time.monotonic())
            received.send_delays_ms.append(round(1000 * (time.monotonic() - due_s)))
            for track, role in tracks:
                frame = playing.codes[role][at : at + FRAME_MS * SAMPLES_PER_MS]
                await socket.send(sender.media(track, at // SAMPLES_PER_MS, frame))


def _metric(server: Server, name: str) -> int:
    lines = server.client.get("/metrics").text.splitlines()
    return next((round(float(line.rpartition(" ")[2])) for line in lines if line.startswith(f"{name} ")), 0)


def main() -> None:
    parser = argparse.ArgumentParser(description="How many live-transcribed calls a machine carries.")
    parser.add_argument("manifest", type=Path, help="calls with known words (docs/words.md)")
    parser.add_argument("--engine", default="auto", help="CALLREEL_ENGINE of the server")
    parser.add_argument(
        "--workers", type=int, default=2, help="CALLREEL_ENGINE_WORKERS (default: 2, as the server has)"
    )
    parser.add_argument("--calls", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    settings = {"CALLREEL_ENGINE": given.engine, "CALLREEL_ENGINE_WORKERS": str(given.workers)}
    material = [one for one in read_material(given.manifest) if one.two_channels and one.timed]
    if not material:
        parser.error(f"{given.manifest} has no calls on two channels with timed words")
    rows = [asyncio.run(measure(material, calls, given.seconds, settings)) for calls in given.calls]
    if given.json:
        print(
            json.dumps(
                {"machine": machine(), "engine": given.engine, "rows": [asdict(row) for row in rows]},
                indent=2,
            )
        )
        return
    print(f"{machine()}, engine {given.engine}")
    for name in asdict(rows[0]):
        print(f"{name:24}" + "".join(f"{asdict(row)[name]!s:>12}" for row in rows))


if __name__ == "__main__":
    main()
