"""A `callreel serve` process for a measurement, and its resource use according to the kernel.

It reaches nothing outside: the credentials are invented, and no server listens at the address of the carrier's REST API.
"""

import os
import platform
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import httpx2
from tests.support.program import free_port

from callreel.domain.ids import LegSid
from callreel.simulator.calls.twiml_reader import read_twiml
from callreel.simulator.calls.twiml_script import StartStream
from callreel.simulator.calls.webhook_forms import voice_form
from callreel.twilio.signature import sign

REPOSITORY = Path(__file__).parents[1]
ACCOUNT = "AC" + "5" * 32
AUTH_TOKEN = "a token for measuring"
CALLER_ID = "+12025550123"
NUMBER = "+12025550177"
START_S = 180.0
_TICKS_A_S = os.sysconf("SC_CLK_TCK")
_PAGE_KB = os.sysconf("SC_PAGE_SIZE") // 1024


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU time so far and memory now, of a process and all its children."""

    cpu_s: float
    memory_kb: int


class Server:
    """`with Server(folder) as server:`; `settings` are additional environment variables."""

    def __init__(self, folder: Path, settings: dict[str, str] | None = None) -> None:
        self.data_dir = folder / "data"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.client = httpx2.Client(base_url=self.url, timeout=30)
        self._log = folder / "server.log"
        self._settings = settings or {}

    def __enter__(self) -> Self:
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("CALLREEL_", "TWILIO_"))
        }
        environment = kept | {
            "TWILIO_ACCOUNT_SID": ACCOUNT,
            "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
            "TWILIO_PHONE_NUMBER": CALLER_ID,
            "CALLREEL_PUBLIC_URL": self.url,
            "CALLREEL_PORT": str(self.port),
            "CALLREEL_DATA_DIR": str(self.data_dir),
            "CALLREEL_CARRIER_API_URL": f"http://127.0.0.1:{free_port()}",
            "CALLREEL_RECORD": "false",
            "CALLREEL_RESTART_STREAMS": "false",
            "CALLREEL_LOG_LEVEL": "warning",
            "CALLREEL_ENGINE": "python:benchmarks.no_engine",
            "CALLREEL_ENGINE_WORKERS": "1",
            "CALLREEL_MEDIA_TOKEN_TTL_S": "3600",
            "PYTHONPATH": f"{REPOSITORY / 'src'}{os.pathsep}{REPOSITORY}",
            **self._settings,
        }
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "callreel", "serve", "--demo"],
                env=environment, stdout=log, stderr=log, cwd=self.data_dir.parent,
            )  # fmt: skip
        try:
            self._until_it_answers()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self._process.terminate()
        self._process.wait(60)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def log(self) -> str:
        return self._log.read_text()

    @property
    def stream_url(self) -> str:
        """The URL that the carrier signs when it opens a media socket."""
        return f"wss:{self.url.partition(':')[2]}/twilio/media-stream"

    @property
    def signature(self) -> str:
        return sign(self.stream_url, None, AUTH_TOKEN)

    def usage(self) -> Usage:
        return usage(self.pid)

    def new_call(self, leg_sid: LegSid) -> str:
        """Request a call's TwiML as the carrier does; returns the token for the media stream."""
        form = voice_form(leg_sid=leg_sid, account_sid=ACCOUNT, from_="client:ada", to=NUMBER)
        headers = {"X-Twilio-Signature": sign(f"{self.url}/twilio/voice", form, AUTH_TOKEN)}
        answer = self.client.post("/twilio/voice", data=form, headers=headers)
        answer.raise_for_status()
        [stream] = [verb for verb in read_twiml(answer.text).verbs if isinstance(verb, StartStream)]
        return stream.parameters["token"]

    def _until_it_answers(self) -> None:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                if self.client.get("/health").status_code == 200:
                    return
            except httpx2.HTTPError:
                time.sleep(0.05)
        raise RuntimeError(f"the server did not start: {self.log[-2000:]}")


def usage(pid: int) -> Usage:
    """The use of a process and its children, from the kernel's accounting; CPU time counts in ticks of 10 ms."""
    cpu_s, memory_kb = 0.0, 0
    for process in (pid, *_children(pid)):
        stat = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        cpu_s += (int(stat[11]) + int(stat[12])) / _TICKS_A_S
        memory_kb += int(Path(f"/proc/{process}/statm").read_text().split()[1]) * _PAGE_KB
    return Usage(cpu_s, memory_kb)


def open_files(pid: int) -> int:
    """The number of file descriptors of a process and its children."""
    return sum(len(list(Path(f"/proc/{process}/fd").iterdir())) for process in (pid, *_children(pid)))


def threads(pid: int) -> int:
    """The number of threads of a process and its children."""
    return sum(len(list(Path(f"/proc/{process}/task").iterdir())) for process in (pid, *_children(pid)))


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            found += [child, *_children(child)]
    return found


def machine() -> dict[str, str | int]:
    """A description of the machine, without which a figure means nothing."""
    model = next(
        (line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")),
        platform.processor(),
    )  # fmt: skip
    return {"processor": model, "cores": os.cpu_count() or 1, "python": platform.python_version(), "system": platform.release()}  # fmt: skip
