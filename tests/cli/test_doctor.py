"""`callreel doctor`: exit codes, the TwiML of a call, and the check of the tunnel."""

from pathlib import Path

import httpx2
import pytest

from callreel.cli.diagnose import doctor, probes
from callreel.ops.diagnosis import Finding, Mark
from callreel.settings import Settings
from tests.support.program import callreel, free_port, the_line

NUMBER = {"TWILIO_PHONE_NUMBER": "+12025550123"}


def test_twiml_matches_the_servers(tmp_path: Path) -> None:
    run = callreel("doctor", "twiml", "--to", "+14155550123", folder=tmp_path, extra=NUMBER)
    assert run.returncode == 0, run.stderr
    for part in (
        'url="wss://localhost:8000/twilio/media-stream"',
        'track="both_tracks"',
        'trim="do-not-trim"',
        'recordingStatusCallbackEvent="in-progress completed absent"',
        "/twilio/recording-status#rc=5&amp;rp=all",
        'callerId="+12025550123"',
        ">+14155550123</Number>",
    ):
        assert part in run.stdout
    incoming = callreel(
        "doctor", "twiml", "--to", "+12025550123", "--incoming", folder=tmp_path, extra=NUMBER
    )
    assert "<Client " in incoming.stdout
    assert list(tmp_path.iterdir()) == []


def test_refused_number_is_reported_without_the_number(tmp_path: Path) -> None:
    line = the_line(callreel("doctor", "twiml", "--to", "+493012345678", folder=tmp_path, extra=NUMBER))
    assert line.startswith("the dial policy refuses this number")
    assert "12345678" not in line


def test_unknown_call_does_not_create_a_database(tmp_path: Path) -> None:
    assert "no database" in the_line(callreel("doctor", "call", "CA1", folder=tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_invalid_settings_are_a_finding(tmp_path: Path) -> None:
    run = callreel("doctor", folder=tmp_path, extra={"CALLREEL_PORT": "none"})
    assert run.returncode == 1
    assert "✗ settings: CALLREEL_PORT (environment) should be a valid integer" in run.stdout


TUNNEL = {"public_url": "https://a.ngrok.example", "proto": "https"}


@pytest.mark.parametrize(
    ("answer", "public_url", "mark"),
    [
        ({"tunnels": [TUNNEL]}, "https://a.ngrok.example", Mark.OK),
        ({"tunnels": [TUNNEL]}, "https://b.ngrok.example", Mark.BAD),
        ({"tunnels": []}, "https://b.ngrok.example", Mark.WARN),
        ({"no": "tunnels"}, "https://b.ngrok.example", None),
    ],
)
async def test_tunnel_is_compared_with_the_public_address(
    answer: object, public_url: str, mark: Mark | None
) -> None:
    transport = httpx2.MockTransport(lambda request: httpx2.Response(200, json=answer))
    async with httpx2.AsyncClient(transport=transport) as client:
        found = await probes.tunnel(Settings(public_url=public_url), client, probes.TUNNEL_API)
    assert (found and found.mark) == mark


def test_probes_use_the_local_address_of_the_server() -> None:
    assert probes.local_url(Settings(host="0.0.0.0", port=81)) == "http://127.0.0.1:81"
    assert probes.local_url(Settings(host="::1", port=81)) == "http://[::1]:81"


def test_invented_credentials_fail(tmp_path: Path) -> None:
    """Offline, they cannot be checked, which is a failure too."""
    extra = {
        "TWILIO_ACCOUNT_SID": "AC" + "1" * 32,
        "TWILIO_AUTH_TOKEN": "invented",
        "CALLREEL_CARRIER_API_URL": f"http://127.0.0.1:{free_port()}",
        "CALLREEL_ENGINE": "python:tests.asr.scripted",
        **NUMBER,
    }
    run = callreel("doctor", folder=tmp_path, extra=extra)
    assert run.returncode == 1
    assert "✗ carrier: not checked at http://127.0.0.1:" in run.stdout
    assert "all is well" not in run.stdout


@pytest.mark.parametrize(
    ("marks", "verdict"),
    [
        ("✗!", "1 problem, 1 warning"),
        ("✗✗!!", "2 problems, 2 warnings"),
        ("✓", "no problems"),
        ("!", "no problems, 1 warning"),
    ],
)
def test_verdict_counts_in_correct_grammar(
    marks: str, verdict: str, capsys: pytest.CaptureFixture[str]
) -> None:
    doctor._print([Finding(Mark(mark), "x", "y") for mark in marks])
    assert capsys.readouterr().out.endswith(f"callreel doctor: {verdict}\n")
