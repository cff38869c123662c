"""A day's use at debug level: no output has a secret, no log a word or a number, and only this user can read the files."""

import json
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx2
import pytest

from callreel.domain.call import Role
from callreel.simulator.scenario import CallScript
from callreel.simulator.sound.voices import load_voice, shipped_voice
from callreel.web.auth.signin import COOKIE
from tests.end_to_end.house import ACCOUNT, AUTH_TOKEN, TECHNICIAN, House
from tests.support.encryption import undisturbed
from tests.support.program import run
from tests.web.route_table import TABLE, filled

pytestmark = pytest.mark.timeout(600)

PASSWORD: Final = "the password of ada 4711"
SETTINGS: Final = {
    "CALLREEL_LOG_LEVEL": "debug",
    "TWILIO_API_KEY_SID": "SK" + "6" * 32,
    "TWILIO_API_KEY_SECRET": "secret-of-the-api-key",
    "TWILIO_TWIML_APP_SID": "AP" + "7" * 32,
    "CALLREEL_SHARED_KEYS": "key1=secret-of-the-shared-key",
    "OPENAI_API_KEY": "sk-secret-of-the-engine",
    "CALLREEL_OTEL_ENDPOINT": "",
}
SECRETS: Final = {
    AUTH_TOKEN, PASSWORD, "secret-of-the-api-key", "secret-of-the-shared-key", "sk-secret-of-the-engine",
    "a wrong guess of a password", "crt_a-wrong-guess-of-a-token",
}  # fmt: skip
PRIVATE: Final = {"boiler", "zebra", "giraffe", "ostrich", TECHNICIAN.lstrip("+"), "2125550199"}
"""Words of the transcript, a note, a correction and a reason; numbers that were called or saved."""


@dataclass(slots=True)
class Day:
    """`shown`: what signed-in people see, which has words and numbers. `other`: logs and everything else."""

    house: House
    secrets: set[str]
    shown: dict[str, str] = field(default_factory=dict)
    other: dict[str, str] = field(default_factory=dict)
    call_sid: str = ""
    backup: Path = Path()


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Day]:
    folder = tmp_path_factory.mktemp("secrets")
    house = House(folder, SETTINGS, speed=2.5)
    house.preloaded = (
        False  # the list of processes shows the arguments of a program that was started, not forked
    )
    house.arguments = ("serve", "--demo", "--sign-in")
    with house:
        lived = Day(house, set(SECRETS))
        _sign_in(lived)
        _call_and_review(lived)
        _wrong_requests(lived)
        _commands(lived)
        lived.other["processes"] = _processes(house)
        lived.other["log"] = house.log
        yield lived


def _command(day: Day, name: str, *arguments: str, given: str = "") -> None:
    ran = run(arguments, day.house.environment, day.house.folder, stdin=given, timeout_s=120)
    day.other[name] = ran.stdout + ran.stderr
    assert ran.returncode in (0, 1), day.other[name]


def _sign_in(day: Day) -> None:
    _command(day, "user add", "user", "add", "ada", "--password-stdin", given=PASSWORD + "\n")
    client = day.house.client
    assert client.post("/sign-in", data={"name": "ada", "password": PASSWORD}).status_code == 303
    day.secrets.add(client.cookies[COOKIE])
    made = client.post("/api/v1/tokens", json={"name": "tool", "scopes": ["calls:read"]}).json()
    day.secrets.add(made["token"])
    headers = {"Authorization": f"Bearer {made['token']}"}
    assert httpx2.get(f"{day.house.url}/api/v1/calls", headers=headers).status_code == 200


def _call_and_review(day: Day) -> None:
    house, client = day.house, day.house.client
    agent, technician = (load_voice(shipped_voice(role))[: 8 * 8000] for role in Role)
    outcome = house.place(CallScript(agent_voice=agent, technician_voice=technician, number=TECHNICIAN))
    call = house.closed_call(outcome.call_sid)
    assert "boiler" in json.dumps(call["turns"])
    day.call_sid, api = outcome.call_sid, f"/api/v1/calls/{call['call_id']}"
    for method, path, body in (
        ("POST", f"{api}/notes", {"kind": "note", "at_ms": 1, "text": "zebra"}),
        ("POST", f"{api}/revisions", {"base": 0, "changes": [{"turn": 0, "text": "giraffe"}]}),
        ("PUT", f"{api}/hold", {"reason": "ostrich"}),
        ("POST", "/api/v1/technicians", {"name": "Tom", "number": "+12125550199"}),
        ("POST", "/api/v1/softphone/token", None),
        ("POST", "/api/v1/numbers", {"raw": "+19005551234"}),
    ):
        answer = client.request(method, path, json=body)
        assert answer.is_success, (path, answer.text)
        day.shown[f"{method} {path}"] = answer.text
    paths = {
        filled(route.path, call_id=call["call_id"], ending=ending)
        for route in TABLE
        if route.method == "GET" and not route.path.endswith("events")
        for ending in ("txt", "srt", "vtt", "json", "csv")
    }
    for path in sorted(paths):
        day.shown[path] = client.get(path, headers={"Accept": "text/html"}).text
    assert any("zebra" in text or "giraffe" in text for text in day.shown.values())
    for path in ("/metrics", "/settings", "/health", "/api/v1/engines", "/openapi.json"):
        day.other[path] = day.shown[path]


def _wrong_requests(day: Day) -> None:
    url = day.house.url
    guess = {"name": "ada", "password": "a wrong guess of a password"}
    stranger = {"Authorization": "Bearer crt_a-wrong-guess-of-a-token"}
    forged = {"AccountSid": ACCOUNT, "CallSid": "CA" + "1" * 32, "From": TECHNICIAN, "To": TECHNICIAN}
    for name, answer in {
        "wrong password": httpx2.post(f"{url}/sign-in", data=guess),
        "wrong token": httpx2.get(f"{url}/api/v1/calls", headers=stranger),
        "no such page": day.house.client.get("/nothing", headers={"Accept": "text/html"}),
        "wrong body": day.house.client.post(
            "/api/v1/people", json={"name": "zebra", "password": PASSWORD, "role": "x"}
        ),
        "forged": httpx2.post(f"{url}/twilio/voice", data=forged, headers={"X-Twilio-Signature": "AAAA"}),
    }.items():
        assert answer.status_code >= 400, name
        day.other[name] = answer.text


def _commands(day: Day) -> None:
    day.backup = day.house.folder / "backup"
    for arguments in (
        ("settings",), ("doctor",), ("doctor", "call", day.call_sid), ("check",), ("user", "list"), ("backup", str(day.backup)),
    ):  # fmt: skip
        _command(day, " ".join(arguments), *arguments)
    day.other["manifest"] = (day.backup / "manifest.json").read_text()


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            yield from _tree(child)


def _processes(house: House) -> str:
    assert house.server is not None
    return "\n".join(
        Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ") for pid in _tree(house.server.pid)
    )


def test_no_output_has_a_secret(day: Day) -> None:
    assert len(day.secrets) > len(SECRETS) and day.other["log"].count("\n") > 20
    for name, text in {**day.shown, **day.other}.items():
        assert not [secret for secret in day.secrets if secret in text], name


def test_no_log_line_or_command_has_a_word_or_number_of_a_call(day: Day) -> None:
    for name, text in day.other.items():
        assert not [word for word in PRIVATE if word in text], name


def test_files_and_folders_are_private(day: Day) -> None:
    roots = (day.house.data_dir, day.backup)
    modes = undisturbed(
        lambda: {path: path.lstat().st_mode for root in roots for path in (root, *root.rglob("*"))}
    )
    assert {"app.db", "stages.db", "manifest.json"} <= {path.name for path in modes}
    assert [str(path) for path, mode in modes.items() if not stat.S_ISLNK(mode) and mode & 0o077] == []


def test_no_process_writes_a_core_dump(day: Day) -> None:
    assert day.house.server is not None
    pids = list(_tree(day.house.server.pid))
    assert len(pids) > 1, "engine processes too"
    for pid in pids:
        (limit,) = [
            line for line in Path(f"/proc/{pid}/limits").read_text().splitlines() if "core file" in line
        ]
        assert limit.split()[4:6] == ["0", "0"]
        assert int(Path(f"/proc/{pid}/coredump_filter").read_text(), 16) == 0
