"""A complete installation and a simulated carrier: the server in its own process, the carrier in a thread of this one.

Both are real and talk over loopback sockets; only the engine is scripted, so that the tests cover our code.
"""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx2

from callreel.simulator.account import Account
from callreel.simulator.carrier import CarrierConfig, SimulatedCarrier
from callreel.simulator.rest.protocol import NOT_IN_PROGRESS
from callreel.simulator.scenario import CallOutcome, CallScript, StreamOutcome
from tests.support import preloaded
from tests.support.program import free_port

T = TypeVar("T")

REPOSITORY = Path(__file__).parents[2]
ACCOUNT = "AC" + "5" * 32
AUTH_TOKEN = "a token of the simulator"
CALLER_ID = "+12025550123"
TECHNICIAN = "+12025550177"
START_S = 110.0
ANSWER_S = 110.0
SHORTEST_WAIT_S = 60.0
CALLS_AT_ONCE = 5
FRAME_MS = 20
ESTABLISHED = "01"
BYTES_A_MS = 36
"""Of both tracks of a media stream, as messages, at least."""


def _unread_bytes(port: int) -> int:
    """The most that waits in the kernel on one connection of a server's port."""
    waiting = [0]
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(f":{port:04X}") and fields[3] == ESTABLISHED:
            waiting.append(int(fields[4].partition(":")[2], 16))
    return max(waiting)


def _scheduled_ms(stream: StreamOutcome) -> int:
    """The audio of a stream that was sent for certain: the last frame may still wait for its time."""
    return max(0, min(map(len, stream.tracks.values())) // 8 - FRAME_MS)


class House:
    """`with House(folder) as house:`; `settings` are further environment variables of the server."""

    arguments: tuple[str, ...] = ("serve", "--demo")
    preloaded = True
    """Whether the server is forked from a process that has imported it, which is quicker."""

    def __init__(
        self,
        folder: Path,
        settings: dict[str, str] | None = None,
        *,
        speed: float = 4.0,
        recording_delay_s: float = 1.0,
        ranges: bool = False,
        public_url: str | None = None,
    ) -> None:
        """`public_url` is the address that the carrier uses, if it is not the server's."""
        self.folder = folder
        self.data_dir = folder / "data"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._public_url = public_url or self.url
        self._settings = settings or {}
        self._config = CarrierConfig(
            voice_url=f"{self._public_url}/twilio/voice",
            status_callback=f"{self._public_url}/twilio/call-status",
            account=Account(ACCOUNT, AUTH_TOKEN),
            speed=speed,
            recording_delay_s=recording_delay_s,
            ranges=ranges,
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="stand-in carrier", daemon=True)
        self.client = httpx2.Client(base_url=self.url, timeout=60)
        self.server: preloaded.Process | None = None

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._thread.start()
        self.carrier = self.in_carrier(SimulatedCarrier(self._config).__aenter__())
        try:
            self.start_server()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self.server is not None and self.server.poll() is None:
            self.stop_server()
        self.in_carrier(self.carrier.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self.client.close()

    @property
    def log(self) -> str:
        return (self.folder / "server.log").read_text()

    def start_server(self) -> None:
        """Start the server and wait until it answers."""
        self.launch_server()
        self.until(self.answers, START_S)

    @property
    def environment(self) -> dict[str, str]:
        """Of the server."""
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("CALLREEL_", "TWILIO_"))
        }
        return environment | {
            "TWILIO_ACCOUNT_SID": ACCOUNT,
            "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
            "TWILIO_PHONE_NUMBER": CALLER_ID,
            "CALLREEL_PUBLIC_URL": self._public_url,
            "CALLREEL_PORT": str(self.port),
            "CALLREEL_DATA_DIR": str(self.data_dir),
            "CALLREEL_CARRIER_API_URL": self.carrier.api_url,
            "CALLREEL_ENGINE": "python:tests.asr.scripted",
            "CALLREEL_ENGINE_OPTIONS": "text=please check the boiler|it is cold in here",
            "CALLREEL_ENGINE_WORKERS": "1",
            "CALLREEL_RECORDING_GRACE_S": "2",
            "CALLREEL_LATE_STREAM_MS": "4000",  # sped up, and on a busy machine
            "PYTHONPATH": f"{REPOSITORY / 'src'}{os.pathsep}{REPOSITORY}",  # the sources of this checkout
            **self._settings,
        }

    def launch_server(self) -> None:
        """Start the server without waiting for it."""
        log, environment = self.folder / "server.log", self.environment
        if self.preloaded and "LD_PRELOAD" not in environment:
            self.server = preloaded.start(self.arguments, environment, self.folder, log)
            return
        with log.open("ab") as output:
            self.server = subprocess.Popen(
                [sys.executable, "-m", "callreel", *self.arguments],
                env=environment, stdout=output, stderr=output, cwd=self.folder,
            )  # fmt: skip

    def answers(self) -> bool:
        """Whether the server is up. Fails when its process has ended."""
        assert self.server is not None
        assert self.server.poll() is None, f"the server ended: {self.log}"
        try:
            return self.client.get("/health").status_code == 200
        except httpx2.HTTPError:
            return False

    def stop_server(self) -> int:
        """Stop the server by SIGTERM; returns its exit code."""
        assert self.server is not None
        self.server.terminate()
        return self.server.wait(90)

    def kill_server(self) -> dict[str, int]:
        """Kill the server, like a crash; returns how much audio it had received, as `kill` does."""
        assert self.server is not None
        received_ms = self.kill(self.server.pid)
        self.server.wait(90)
        return received_ms

    def kill(self, pid: int) -> dict[str, int]:
        """Kill a process that reads media sockets. Returns at least how many ms of each live stream it had received, by SID.

        What lies unread in the kernel was sent, not received: a busy machine may leave any amount there. The carrier sends
        nothing meanwhile, because its event loop runs this.
        """

        async def kill() -> dict[str, int]:
            os.kill(pid, signal.SIGSTOP)
            unread_ms = _unread_bytes(self.port) // BYTES_A_MS
            streams = [one for call in self.carrier.live_calls for one in call.stream_outcomes]
            os.kill(pid, signal.SIGKILL)
            return {one.sid: _scheduled_ms(one) - unread_ms for one in streams if _scheduled_ms(one)}

        return self.in_carrier(kill())

    def in_carrier(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` in the carrier's event loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def place(self, script: CallScript) -> CallOutcome:
        """Place one call and wait for its last callback."""
        return self.in_carrier(self.carrier.place(script))

    def begin(self, script: CallScript) -> Future[CallOutcome]:
        """Place one call without waiting for it."""
        return asyncio.run_coroutine_threadsafe(self.carrier.place(script), self._loop)

    def hang_up(self, call_id: str) -> None:
        """End a call at the carrier, by REST. On a busy machine it may have ended already."""
        sid = self.call_of(call_id)["call_sid"]
        url = f"{self.carrier.api_url}/2010-04-01/Accounts/{ACCOUNT}/Calls/{sid}.json"
        answer = httpx2.post(url, data={"Status": "completed"}, auth=(ACCOUNT, AUTH_TOKEN))
        assert answer.is_success or answer.json()["code"] == NOT_IN_PROGRESS, answer.text

    def place_all(
        self, scripts: dict[str, CallScript], beside: Callable[[], Coroutine[Any, Any, None]] | None = None
    ) -> dict[str, CallOutcome]:
        """Many calls by name, a few at once: with time sped up, more at one instant would make streams late.

        `beside` runs in the carrier's event loop until all calls are over.
        """
        slots = asyncio.Semaphore(CALLS_AT_ONCE)

        async def one(script: CallScript) -> CallOutcome:
            async with slots:
                return await self.carrier.place(script)

        async def all_of_them() -> list[CallOutcome]:
            other = asyncio.create_task(beside()) if beside else None
            try:
                return list(await asyncio.gather(*(one(script) for script in scripts.values())))
            finally:
                if other:
                    other.cancel()

        return dict(zip(scripts, self.in_carrier(all_of_them()), strict=True))

    def call(self, call_sid: str) -> dict[str, Any] | None:
        """The call as the API returns it, None before it is stored."""
        listed = self.client.get("/api/v1/calls").json()["calls"]
        found = [call for call in listed if call["call_sid"] == call_sid]
        if not found:
            return None
        answer: dict[str, Any] = self.client.get(f"/api/v1/calls/{found[0]['call_id']}").json()
        return answer

    def call_of(self, call_id: str) -> dict[str, Any]:
        """The call with that id, as the API returns it."""
        answer: dict[str, Any] = self.client.get(f"/api/v1/calls/{call_id}").json()
        return answer

    def closed_call(self, call_sid: str) -> dict[str, Any]:
        """The call once it has its verdict."""
        call: dict[str, Any] = {}

        def is_closed() -> bool:
            call.update(self.call(call_sid) or {})
            return call.get("state") == "closed"

        self.until(is_closed, ANSWER_S)
        return call

    def until(self, condition: Callable[[], bool], within_s: float) -> None:
        """Wait for `condition`; after the deadline, fail with the server's log.

        It is a minute at least: how long something takes is the machine's speed, which tests do not judge.
        """
        deadline = time.monotonic() + max(within_s, SHORTEST_WAIT_S)
        while not condition():
            assert time.monotonic() < deadline, (
                f"not within {within_s:g} s; the server's log:\n{self.log[-4000:]}"
            )
            time.sleep(0.05)

    def layer(self, call: dict[str, Any], layer: str, role: str | None) -> Path:
        """The file of a layer."""
        [path] = [
            entry["path"] for entry in call["layers"] if (entry["layer"], entry["role"]) == (layer, role)
        ]
        return self.data_dir / str(path)
