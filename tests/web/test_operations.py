"""The operations page, its forms, the metrics and /health, in demo mode on loopback."""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from callreel.domain.call import CallState
from callreel.domain.errors import StoreError
from callreel.domain.events import Json
from callreel.domain.ids import RecordingSid
from callreel.domain.mail import MailState
from callreel.domain.recording import CloudState
from callreel.domain.work import Workflow
from callreel.ops.health import Health, check_runs
from callreel.ops.metrics import LiveGauges, Metrics, reason_of
from callreel.postcall.durable import StepFailedError
from callreel.review.week import Week
from callreel.runtime.counters import Counters
from callreel.runtime.retry import Retry
from callreel.runtime.stage_times import StageTimes
from callreel.store.calls import calls, outbox, recordings
from callreel.store.files.data_folder import check_writable
from callreel.store.mail import report_mails
from callreel.web.app import create_app
from callreel.web.options import WebContext, WebOptions
from tests.support.fake_engine import FakeEngine
from tests.support.installation import NOON, Installation, a_call, leg, temporary_installation

SID = RecordingSid("RE" + "1" * 32)
WHY = "the carrier answered 500, 8 times"
SHOWN = "The carrier answered 500, 8 times."


@pytest.fixture
def installation() -> Iterator[Installation]:
    """With one call whose recording could not be fetched."""
    with temporary_installation() as here:
        check_writable(here.blobs.root)
        call = a_call(here)
        with here.database.write() as conn:
            calls.set_state(conn, call.id, CallState.ENDED, NOON)
            recordings.upsert(conn, recordings.RecordingRow(SID, call.id, leg(1), CloudState.COMPLETED, NOON))
            for order in outbox.all_orders(conn):
                outbox.remove(conn, order)
            recordings.park(conn, SID, WHY, NOON)
        yield here


@pytest.fixture
def work() -> FakeEngine:
    """With a waiting attempt at that recording."""
    engine = FakeEngine()
    engine.park(Workflow.DOWNLOAD, f"{SID}#1", "download", WHY)
    return engine


@dataclass(frozen=True)
class Engines:
    """The process counts of an engine host."""

    workers: int
    idle: int
    restarts: int


ENGINE_REPORT: dict[str, Json] = {
    "live": {
        "engine": "faster-whisper", "model": "tiny.en", "reason": "the best available engine", "fallback": "", "error": "",
    },
    "final": {
        "engine": "faster-whisper", "model": "small", "reason": "named by the settings", "fallback": "openai", "error": "out of memory",
    },
    "engines": [],
}  # fmt: skip


@pytest.fixture
def wrong() -> list[str]:
    """Errors that the database check reports; a test may add one."""
    return []


@pytest.fixture
def client(installation: Installation, wrong: list[str], work: FakeEngine) -> Iterator[TestClient]:
    def check() -> None:
        if wrong:
            raise StoreError(wrong[0])

    health = Health(
        installation.clock,
        {
            "database": check_runs(check),
            "folder": check_runs(lambda: check_writable(installation.blobs.root)),
        },
    )
    counters = Counters()
    counters.add("callbacks_taken", 3)
    figures = LiveGauges(calls=2, finals_waiting=1, lag_ms=250, partials_shed=4)
    counters.add("frames_placed", 500)
    counters.add("gap_ms", 1_500)
    stages = StageTimes()
    stages.timed("compare", lambda: None)
    with suppress(ZeroDivisionError):
        stages.timed("compare", lambda: 1 // 0)
    metrics = Metrics(
        installation.database, installation.blobs, counters, health, installation.clock, lambda: figures,
        stages=stages, engines={"final": Engines(workers=3, idle=1, restarts=4)},
        work=work,
    )  # fmt: skip
    context = WebContext(
        installation.database, installation.blobs, installation.bus,
        WebOptions(demo=True, engine_report=lambda: ENGINE_REPORT, mails_report=True),
        installation.clock, health=health, metrics=metrics, work=work,
    )  # fmt: skip
    app = create_app(context)
    app.state.health = health
    with TestClient(app, base_url="http://localhost") as running:
        yield running


def test_page_names_the_engines_in_use(client: TestClient) -> None:
    page = client.get("/operations").text
    assert "Live transcript: faster-whisper tiny.en" in page and "the best available engine" in page
    assert "Final transcript: openai" in page and "Fallback for faster-whisper small: out of memory" in page
    assert "CALLREEL_ENGINE_MODEL=small" in page


def look(client: TestClient) -> None:
    client.app.state.health.run_checks()  # type: ignore[attr-defined]


def test_health_names_failing_checks_and_nothing_else(client: TestClient, wrong: list[str]) -> None:
    look(client)
    for path in ("/health", "/health/ready"):
        answer = client.get(path)
        assert (answer.status_code, answer.json()) == (
            200, {"status": "ok", "checks": {"database": "ok", "folder": "ok"}},
        )  # fmt: skip
    wrong.append("the database failed: disk I/O error in /srv/callreel")
    look(client)
    answer = client.get("/health/ready")
    assert answer.status_code == 503
    assert answer.json() == {"status": "failed", "checks": {"database": "failed", "folder": "ok"}}
    assert "/srv" not in answer.text
    assert client.get("/health/live").status_code == 200, "a restart would not help"
    assert "disk I/O error" in client.get("/operations").text


def test_parked_recording_is_shown_with_its_reason_and_retried(client: TestClient, work: FakeEngine) -> None:
    assert SHOWN in client.get("/operations").text
    answer = client.post(f"/operations/recordings/{SID}/retry", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/operations")
    assert work.queue == [(Workflow.DOWNLOAD, f"{SID}#1", 1)]
    page = client.get("/operations").text
    assert SHOWN not in page and "stage download, queued" in page
    assert client.post(f"/operations/recordings/{SID}/retry").status_code == 404, "it is parked no more"


def test_retry_on_the_page_of_the_call_leads_back_to_it(client: TestClient, work: FakeEngine) -> None:
    answer = client.post(f"/operations/recordings/{SID}/retry", data={"back": "call"}, follow_redirects=False)
    assert answer.headers["location"].startswith("/calls/") and len(work.queue) == 1


def test_retry_all_retries_parked_recordings_only(
    client: TestClient, installation: Installation, work: FakeEngine
) -> None:
    assert "Retry all" not in client.get("/operations").text, "a single item has its own button"
    others = [RecordingSid("RE" + n * 32) for n in "23"]
    with installation.database.write() as conn:
        row = recordings.get(conn, SID)
        assert row is not None
        for sid in others:
            recordings.upsert(
                conn, recordings.RecordingRow(sid, row.call_id, leg(1), CloudState.STORED, NOON)
            )
    work.park(Workflow.TRANSCRIBE, f"{others[0]}#1", "transcribe", WHY)
    again = (Workflow.DOWNLOAD, f"{others[1]}#1", 1)
    work.waiting[again] = (60.0, StepFailedError("download", Retry("soon", 60.0)))
    assert "Retry all" in client.get("/operations").text
    answer = client.post("/operations/retry", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/operations")
    assert sorted(work.queue) == [
        (Workflow.DOWNLOAD, f"{SID}#1", 1),
        (Workflow.TRANSCRIBE, f"{others[0]}#1", 1),
    ]
    assert list(work.waiting) == [again]
    assert client.post("/operations/retry", follow_redirects=False).status_code == 303, (
        "twice is not an error"
    )


def test_skipped_recording_is_kept_and_no_longer_listed(
    client: TestClient, installation: Installation, work: FakeEngine
) -> None:
    assert client.post(f"/operations/recordings/{SID}/skip").status_code == 200
    assert SHOWN not in client.get("/operations").text
    with installation.database.read() as conn:
        row = recordings.get(conn, SID)
    assert row is not None and row.state is CloudState.PARKED
    assert not work.waiting and not work.queue


def test_ordered_work_not_yet_started_is_shown(client: TestClient, installation: Installation) -> None:
    with installation.database.write() as conn:
        row = recordings.get(conn, SID)
        assert row is not None
        recordings.order_work(conn, row)
    assert "not started yet" in client.get("/operations").text
    assert 'callreel_queue_length{queue="start"} 1.0' in client.get("/metrics").text


def test_metrics_are_parsed_by_prometheus(client: TestClient) -> None:
    look(client)
    text = client.get("/metrics").text
    read = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert read["callreel_live_calls",] == 2
    assert read["callreel_live_lag_seconds",] == 0.25
    assert read["callreel_events_total", "callbacks_taken"] == 3
    assert read["callreel_partials_shed_total",] == 4
    assert read["callreel_calls", "ended"] == 1
    assert read["callreel_recordings", "parked"] == 1
    assert read["callreel_stages_parked", "carrier", "download"] == 1
    assert read["callreel_erasures_unfinished",] == 0
    assert read["callreel_frames_total", "placed"] == 500 and ("callreel_events_total", "gap_ms") not in read
    assert read["callreel_gap_seconds_total",] == 1.5
    assert read["callreel_stage_seconds_count", "done", "compare"] == 1
    assert read["callreel_stage_seconds_count", "failed", "compare"] == 1
    assert (read["callreel_engine_processes", "final"], read["callreel_engine_busy", "final"]) == (3, 2)
    assert read["callreel_engine_restarts_total", "final"] == 4
    assert read["callreel_health", "database"] == 1
    assert read["callreel_disk_free_bytes",] > 0
    assert str(SID) not in text


def test_only_health_is_open_without_sign_in(installation: Installation) -> None:
    context = WebContext(
        installation.database, installation.blobs, installation.bus, WebOptions(), installation.clock
    )
    app = create_app(context)
    with TestClient(app, base_url="https://calls.example") as stranger:
        assert stranger.get("/health").json() == {"status": "ok"}
        assert stranger.get("/metrics").status_code == 401
        assert stranger.get("/operations").status_code == 401
        assert stranger.post(f"/operations/recordings/{SID}/retry").status_code in (401, 403)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ("the carrier refused our credentials (401): check TWILIO_API_KEY_SID and its secret", "credentials"),
        (
            "no carrier credentials are set: TWILIO_ACCOUNT_SID, TWILIO_API_KEY_SID and its secret",
            "credentials",
        ),
        ("the carrier answered 429 and requests a wait of 900 s", "quota"),
        ("the carrier answered 404, 8 times", "not_there"),
        ("the carrier answered 503, 8 times", "carrier"),
        ("the connection broke (ConnectError), 6 times", "carrier"),
        ("it could not be kept: No space left on device", "store"),
        ("StoreError: the database failed: database is locked", "store"),
        ("EngineError: no model", "engine"),
        ("ValueError: zip", "other"),
        (None, "other"),
    ],
)
def test_reasons_of_parked_work_are_a_closed_set(error: str | None, reason: str) -> None:
    assert reason_of(error) == reason


def test_page_shows_to_whom_the_weekly_report_was_sent(
    client: TestClient, installation: Installation, work: FakeEngine
) -> None:
    def shown() -> str:
        page = client.get("/operations").text.split('id="mail">')[1].split("</section>")[0]
        return " ".join(re.sub(r"<[^>]+>", " ", page).split())

    assert shown() == "Weekly report by mail No report has been due yet."
    week = Week.parse("2026-W47")
    failures = {"lead@example.com": "", "chief@example.com": "the mail server does not answer"}
    with installation.database.write() as conn:
        report_mails.put(conn, str(week.before), ["old@example.com"], NOON)
        report_mails.put(conn, str(week), failures, NOON)
        for row in report_mails.of_week(conn, str(week)):
            failure = failures[row.recipient]
            report_mails.note(conn, row, MailState.PENDING if failure else MailState.SENT, NOON, failure)
    work.park(Workflow.MAIL_REPORT, f"{week}#1", "send", "the mail server does not answer")
    text = shown()
    assert text.startswith(
        "Weekly report by mail, 2026-W47 c…@example.com not sent yet: the mail server does not answer"
    )
    assert "l…@example.com sent" in text and "old@" not in text and "o…@" not in text
    assert "Next attempt" not in text, "a person starts the next one"
