"""The cost of recording a call: N media streams at real-time pace into a Callreel server, every file compared.

    python -m benchmarks.ingest --calls 200 --seconds 20 [--against bare | --encrypted] [--runs 3] [--mode apart] [--flood]
                                [--json]

CPU is the kernel's accounting of the server's processes, for the time in which all calls are in progress and for the whole
run with starts and ends. A call sends 100 messages per second: 20 ms frames of both tracks. The cost of a start and an end is
the CPU used outside that time, without the messages sent then and without the idle use.

`--against` applies the same load to another server (`peers.py`) right afterwards. On a busy machine only the ratio of the
two is meaningful: `bare` does the same work without guarantees, `pipecat` is a peer's usual recipe. `--encrypted` measures
a server with encryption at rest at the same time, so that other load slows both; its ratio is encrypted to plain. `--runs`
repeats everything and reports each run and the medians; the ratio is the median of the runs' ratios.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks import load, peers
from benchmarks.chaos_audit import keyring_of, read_samples
from benchmarks.server import Server, Usage, machine
from callreel.audio import mulaw
from callreel.audio.resample import upsample_all
from callreel.domain.call import CallState, Role
from callreel.domain.ids import LegSid
from callreel.store.calls import calls as call_rows
from callreel.store.db.database import Database
from callreel.store.encryption.master_keys import new_master_key
from callreel.store.encryption.sealed_file import FileKeys

MESSAGES_A_CALL_AND_S = 100
FRAMES_A_S = 50
IDLE_S = 4.0
SETTLE_S = 120.0
PEER_SETTLE_S = 2.0


@dataclass(frozen=True, slots=True)
class Figures:
    """One run. Times are the server's, except `generator_...`; `late_...` is from sending a frame until it has been read.

    `answer_...` is the voice request with its TwiML, `begin_...` from the socket's upgrade to the first frame, `end_...`
    from `stop` to a call that has ended. `idle_core_share` is the CPU use without calls.
    """

    calls: int
    us_per_message: float
    us_per_message_whole_run: float
    calls_per_core: int
    core_share: float
    lost_frames: int
    bit_exact: bool
    late_p50_ms: float
    late_p99_ms: float
    late_most_ms: float
    memory_per_call_kb: int
    messages: int
    refused: int
    cut: int
    generator_core_share: float
    generator_late_p99_ms: float
    answer_ms_per_call: float
    begin_ms_per_call: float
    end_ms_per_call: float
    idle_core_share: float


def measure(count: int, seconds: int, calls_a_second: float, mode: str, settings: dict[str, str]) -> Figures:
    """Start a server, load it, compare its files."""
    with tempfile.TemporaryDirectory(prefix="callreel-ingest-") as name:
        with Server(Path(name), {"CALLREEL_MAX_CALLS": "100000", **settings}) as server:
            idle = _idle_share(server)
            before_requests, requests_began_s = server.usage(), time.monotonic()
            calls = [_new_call(server, number) for number in range(count)]
            before = server.usage()
            answer_s = before.cpu_s - before_requests.cpu_s - idle * (time.monotonic() - requests_began_s)
            loaded = load.run(
                server.port, server.signature, calls, server.usage,
                seconds=seconds, calls_a_second=calls_a_second, mode=mode,
                before_closing=lambda: _until_ended(server, settings.get("CALLREEL_ENCRYPTION_KEYS")),
            )  # fmt: skip
            after, after_s = server.usage(), time.monotonic()
            master = settings.get("CALLREEL_ENCRYPTION_KEYS")
            lost, exact = _compare(server.data_dir, calls, seconds * FRAMES_A_S, master)
        return figures(loaded, before, (after, after_s), count, lost, exact, idle, answer_s)


def _idle_share(server: Server) -> float:
    """The share of a core that the server uses without calls."""
    before, before_s = server.usage().cpu_s, time.monotonic()
    time.sleep(IDLE_S)
    return (server.usage().cpu_s - before) / (time.monotonic() - before_s)


def _new_call(server: Server, number: int) -> load.Call:
    leg_sid = LegSid(f"CA{number:032x}")
    return load.Call(leg_sid, f"MZ{number:032x}", server.new_call(leg_sid))


def _until_ended(server: Server, master: str | None) -> None:
    """Wait until the server has read its sockets and closed the files, according to its database."""
    deadline = time.monotonic() + SETTLE_S
    with closing(Database.open(f"sqlite:///{server.data_dir / 'app.db'}")) as database:
        keyring_of(database, master)
        while time.monotonic() < deadline:
            with database.read() as conn:
                if not call_rows.in_state(conn, CallState.LIVE):
                    return
            time.sleep(0.5)


def measure_peer(peer: peers.Peer, count: int, seconds: int, calls_a_second: float, mode: str) -> Figures:
    """The same load on another server; frames that it did not write count as lost."""
    with tempfile.TemporaryDirectory(prefix="callreel-peer-") as name:
        folder = Path(name)
        with peers.Running(peer, folder) as server:
            calls = [load.Call(f"CA{number:032x}", f"MZ{number:032x}", "none") for number in range(count)]
            before = server.usage()
            loaded = load.run(
                server.port, "none", calls, server.usage,
                seconds=seconds, calls_a_second=calls_a_second, mode=mode,
                before_closing=lambda: time.sleep(PEER_SETTLE_S),
            )  # fmt: skip
            after, after_s = server.usage(), time.monotonic()
            time.sleep(PEER_SETTLE_S)  # its sockets are closed now: the files' ends
        lost, exact = _compare_peer(peer, folder, calls, seconds * FRAMES_A_S)
    return figures(loaded, before, (after, after_s), count, lost, exact)


def figures(
    loaded: load.LoadResult,
    before: Usage,
    over: tuple[Usage, float],
    count: int,
    lost: int,
    exact: bool,
    idle: float = 0.0,
    answer_s: float = 0.0,
) -> Figures:
    """`over`: the CPU used when all calls had ended, and the time."""
    (_, _, start_s), (began, first, began_s), (ended, last, ended_s) = loaded.start, loaded.begin, loaded.end
    after, after_s = over
    busy_s = ended.cpu_s - began.cpu_s
    us = 1e6 * busy_s / max(last - first, 1)
    frame_s = (busy_s - idle * (ended_s - began_s)) / max(last - first, 1)
    begin_s = began.cpu_s - before.cpu_s - idle * (began_s - start_s) - frame_s * first
    end_s = after.cpu_s - ended.cpu_s - idle * (after_s - ended_s) - frame_s * (loaded.messages - last)
    late = loaded.late_ms if loaded.late_ms.size else np.zeros(1)
    trip = loaded.trip_ms if loaded.trip_ms.size else np.zeros(1)
    return Figures(
        calls=count,
        us_per_message=round(us, 2),
        us_per_message_whole_run=round(1e6 * (after.cpu_s - before.cpu_s) / max(loaded.messages, 1), 2),
        calls_per_core=round(1e6 / us / MESSAGES_A_CALL_AND_S) if us else 0,
        core_share=round(busy_s / (ended_s - began_s), 3),
        lost_frames=lost,
        bit_exact=exact,
        late_p50_ms=round(float(np.percentile(trip, 50)), 2),
        late_p99_ms=round(float(np.percentile(trip, 99)), 2),
        late_most_ms=round(float(trip.max()), 2),
        memory_per_call_kb=round((ended.memory_kb - before.memory_kb) / count),
        messages=loaded.messages,
        refused=loaded.refused,
        cut=loaded.cut,
        generator_core_share=round(loaded.generator_cpu_share, 3),
        generator_late_p99_ms=round(float(np.percentile(late, 99)), 2),
        answer_ms_per_call=round(1000 * answer_s / count, 2),
        begin_ms_per_call=round(1000 * begin_s / count, 2),
        end_ms_per_call=round(1000 * end_s / count, 2),
        idle_core_share=round(idle, 4),
    )


def _compare(data_dir: Path, calls: list[load.Call], frames: int, master: str | None) -> tuple[int, bool]:
    """The number of frames of layer 1 that differ from what was sent, and whether both layers of all calls are correct."""
    lost, exact = 0, True
    database = Database.open(f"sqlite:///{data_dir / 'app.db'}")
    keys = keyring_of(database, master)
    for index, call in enumerate(calls):
        with database.read() as conn:
            row = call_rows.by_leg(conn, LegSid(call.leg_sid))
        assert row is not None
        for track, role in ((0, row.inbound_role), (1, row.inbound_role.other)):
            sent = mulaw.decode(load.sent_audio(index, track, frames).data)
            kept = _layer(data_dir, role, row.id, 8_000, keys)
            lost += _missing(sent, kept)
            exact &= np.array_equal(sent, kept) and np.array_equal(
                upsample_all(kept), _layer(data_dir, role, row.id, 16_000, keys)
            )
    database.close()
    return lost, exact


def _compare_peer(peer: peers.Peer, folder: Path, calls: list[load.Call], frames: int) -> tuple[int, bool]:
    """Frames missing in the files of the recorded tracks. Without an 8 kHz file, only lengths are compared."""
    lost, exact = 0, 8_000 in peer.rates_hz
    for index, call in enumerate(calls):
        for track, name in enumerate(("inbound", "outbound")[: peer.tracks]):
            sent = mulaw.decode(load.sent_audio(index, track, frames).data)
            stem = folder / f"{call.stream_sid}_{name}"
            if 8_000 in peer.rates_hz:
                kept = _samples(stem.with_suffix(".8k.wav"))
                lost += _missing(sent, kept)
                exact &= np.array_equal(sent, kept)
                exact &= np.array_equal(upsample_all(kept), _samples(stem.with_suffix(".16k.wav")))
            else:
                lost += max(0, frames - _samples(stem.with_suffix(".16k.wav")).size // (2 * load.FRAME))
    return lost, exact


def _layer(
    data_dir: Path, role: Role, call_id: str, rate_hz: int, keys: FileKeys | None
) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    found = list(data_dir.glob(f"audio_recordings/{role}_{call_id}_*_{rate_hz}Hz.wav"))
    return _samples(found[0], keys) if found else np.zeros(0, np.int16)


def _samples(path: Path, keys: FileKeys | None = None) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    if not path.exists():
        return np.zeros(0, np.int16)
    return np.ascontiguousarray(read_samples(path, keys))


def _missing(sent: np.ndarray, kept: np.ndarray) -> int:
    whole = np.zeros_like(sent)
    whole[: min(kept.size, sent.size)] = kept[: sent.size]
    size = load.FRAME
    return int((sent.reshape(-1, size) != whole.reshape(-1, size)).any(axis=1).sum())


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the cost of recording a call.")
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--seconds", type=int, default=15, help="duration of each call")
    parser.add_argument("--ramp", type=float, default=50, help="calls started per second")
    parser.add_argument(
        "--mode", choices=("pair", "apart"), default="pair", help="both tracks due together, or 10 ms apart"
    )
    parser.add_argument("--flood", action="store_true", help="send as fast as the server accepts")
    parser.add_argument("--block-ms", type=int, default=160, help="CALLREEL_BLOCK_MS of the server")
    parser.add_argument("--media-workers", type=int, default=0, help="CALLREEL_MEDIA_WORKERS of the server")
    parser.add_argument(
        "--transcript",
        action="store_true",
        help="with voice activity detection and an engine that costs nothing",
    )
    parser.add_argument("--against", choices=peers.PEERS, help="apply the same load to another server too")
    parser.add_argument("--encrypted", action="store_true", help="measure with encryption at rest too")
    parser.add_argument("--runs", type=int, default=1, help="number of runs; medians are reported")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if given.runs < 1:
        parser.error(f"--runs is 1 or more, not {given.runs}")
    if given.calls >= given.ramp * given.seconds:
        parser.error(
            f"{given.calls} calls started at {given.ramp:g} a second are never all in progress for some of"
            f" {given.seconds} s; give more --seconds, or a larger --ramp"
        )
    settings = {
        "CALLREEL_RECORD": "true",  # stages wait for a recording, so none runs meanwhile; `benchmarks.stages` measures them
        "CALLREEL_LIVE_TRANSCRIPT": str(given.transcript).lower(),
        "CALLREEL_BLOCK_MS": str(given.block_ms),
        "CALLREEL_MEDIA_WORKERS": str(given.media_workers),
    }
    mode = "flood" if given.flood else given.mode
    peer = peers.PEERS[given.against]() if given.against else None

    def run(number: int) -> dict[str, float]:
        if given.runs > 1:
            print(f"run {number} of {given.runs}", file=sys.stderr, flush=True)
        keyed = settings | {"CALLREEL_ENCRYPTION_KEYS": new_master_key("benchmark")}
        kinds = [settings, keyed] if given.encrypted else [settings]
        with ThreadPoolExecutor() as pool:  # at the same time, so that other load slows both down
            measured = list(
                pool.map(lambda kind: measure(given.calls, given.seconds, given.ramp, mode, kind), kinds)
            )
        ours = measured[0]
        report: dict[str, float] = asdict(ours)
        if peer is not None:
            theirs = measure_peer(peer, given.calls, given.seconds, given.ramp, mode)
            report |= {f"{peer.name}_{name}": value for name, value in asdict(theirs).items()}
            report["ratio"] = round(theirs.us_per_message / ours.us_per_message, 2)
        for sealed in measured[1:]:
            report |= {f"encrypted_{name}": value for name, value in asdict(sealed).items()}
            report["encrypted_ratio"] = round(sealed.us_per_message / ours.us_per_message, 3)
        return report

    runs = [run(number) for number in range(1, given.runs + 1)]
    report: dict[str, object] = {"machine": machine(), "mode": mode, **summary(runs)}
    if given.runs > 1:
        report["runs"] = runs
    if given.json:
        print(json.dumps(report, indent=2))
        return
    del report["machine"]
    print(machine())
    for name, value in report.items():
        if name != "runs":
            print(f"{name:34}{value}")
    if given.runs > 1:
        print("us_per_message of each run:", *(one["us_per_message"] for one in runs))


def summary(runs: Sequence[dict[str, float]]) -> dict[str, float]:
    """The median of each figure; the worst of all runs for failures: lost, refused, cut, not exact."""
    report: dict[str, float] = {}
    for name in runs[0]:
        values = [one[name] for one in runs]
        if name.endswith("bit_exact"):
            report[name] = all(values)
        elif name.endswith(("lost_frames", "refused", "cut")):
            report[name] = max(values)
        else:
            report[name] = values[0] if len(set(values)) == 1 else round(statistics.median(values), 3)
    return report


if __name__ == "__main__":
    main()
