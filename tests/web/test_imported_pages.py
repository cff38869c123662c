"""An imported call on the pages, in the API, in the vCon and in the statistics, and reviewed, searched and erased like others."""

from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from playwright.sync_api import Page, expect

from callreel.cluster.event_publisher import EventPublisher
from callreel.domain.call import CallState, Role
from callreel.domain.ids import CallId
from callreel.domain.recording import CloudState
from callreel.domain.transcript import TranscriptKind, Turn, Word
from callreel.domain.verdict import Facts, Verdict, judge
from callreel.imports.folder import FolderImport
from callreel.imports.imported_calls import ImportedCalls
from callreel.imports.metadata import Defaults, read_row
from callreel.runtime.clock import Clock
from callreel.store.calls import calls, outbox
from callreel.store.transcripts import transcripts
from tests.imports.sound_files import two_channels, write_sound
from tests.support.fake_engine import FakeEngine
from tests.support.seed import NOON, Seed
from tests.web.test_erasing import run_erasures

pytest_plugins = ("tests.web.chromium",)


@pytest.fixture(params=[1, 2])
def imported(request: pytest.FixtureRequest, place: Seed, tmp_path: Path) -> CallId:
    """With one channel or two."""
    return import_call(place, tmp_path, request.param)


def import_call(place: Seed, tmp_path: Path, channels: int) -> CallId:
    samples = two_channels()[:, :channels]
    write_sound(tmp_path / "one.wav", samples)
    clock = Clock()
    made = ImportedCalls(place.database, EventPublisher(place.database, place.bus, clock), clock, by="ada")
    defaults = Defaults(NOON.tzinfo)  # type: ignore[arg-type]
    work = FolderImport(made, place.blobs, clock, tmp_path, defaults)
    row = {"file": "one.wav", "started_at": NOON.isoformat(), "agent": "maria", "number": "+12125550177"}
    outcome = work.one(read_row(row, defaults))
    assert outcome.call_id is not None
    judgement = judge((), Facts(CloudState.STORED, cloud_channels=channels, imported=True))
    with place.database.write() as conn:
        calls.set_verdict(conn, outcome.call_id, judgement.verdict, judgement.reasons, ())
        calls.set_state(conn, outcome.call_id, CallState.CLOSED, NOON)
    return outcome.call_id


def test_imported_call_is_shown_as_such(ada: TestClient, imported: CallId) -> None:
    page = ada.get(f"/calls/{imported}").text
    assert page.count('<span class="badge imported">Imported</span>') == 2
    assert "There is no second recording to compare it with." in page
    assert "Imported from a file and stored here." in page and "An imported call has no live layers." in page
    document = ada.get(f"/api/v1/calls/{imported}").json()
    assert (document["verdict"], document["imported"]) == ("imported", True)
    mono = document["recording"]["channels"] == 1
    assert [reason["code"] for reason in document["reasons"]] == (["mono_recording"] if mono else [])
    assert ("cannot be attributed to a party. It is not transcribed" in page) == mono
    vcon = ada.get(f"/api/v1/calls/{imported}/vcon").json()
    assert {party.get("validation", "") for party in vcon["parties"][:2]} == {"none"}
    assert vcon["dialog"][0]["duration"] == 4.5


def test_imported_calls_are_filtered_and_counted(ada: TestClient, imported: CallId) -> None:
    assert [call["call_id"] for call in ada.get("/api/v1/calls?verdict=imported").json()["calls"]] == [
        imported
    ]
    assert 'class="badge imported"' in ada.get("/").text
    day = NOON.date().isoformat()
    figures = ada.get(f"/api/v1/statistics?from={day}&to={day}").json()
    assert figures["total"]["verdicts"][Verdict.IMPORTED] == 1
    assert '<th scope="col">Imported</th>' in ada.get(f"/statistics?from={day}&to={day}").text


@pytest.mark.browser
@pytest.mark.slow
def test_imported_call_is_searched_reviewed_and_erased(
    page: Page, base_url: str, place: Seed, engine: FakeEngine, tmp_path: Path
) -> None:
    call_id = import_call(place, tmp_path, channels=2)
    words = tuple(
        Word(text, 300 * at, 300 * at + 300, 0.9) for at, text in enumerate("the boiler is cold".split())
    )
    turn = Turn(Role.AGENT, 0, 1_200, "the boiler is cold", 0.9, words)
    with place.database.write() as conn:
        transcripts.put(conn, call_id, TranscriptKind.FINAL, "scripted", "en", [turn])
        for order in outbox.all_orders(conn):  # as if all workflows had run
            outbox.remove(conn, order)
    page.goto(base_url)
    page.get_by_role("searchbox", name="Search transcripts").fill("boiler")
    row = page.locator(f"#call-{call_id}")
    expect(row.locator("mark")).to_have_text("boiler")
    expect(row.locator(".badge")).to_have_text("Imported")
    row.locator(".hit a").click()
    expect(page.locator("call-review[data-ready]")).to_be_attached()
    expect(page.locator("#verdict .badge")).to_have_text("Imported")
    page.get_by_role("button", name="Mark as reviewed").click()
    expect(page.locator("#triage")).to_contain_text("Reviewed by demo")
    page.get_by_role("link", name="Erase this call").click()
    page.get_by_role("button", name="Erase permanently").click()
    expect(page.get_by_role("heading", name="This call is being erased")).to_be_visible()
    assert run_erasures(place, engine) == 1
    expect(page.get_by_role("heading", name="This call is erased")).to_be_visible()
    page.goto(f"{base_url}/?q=boiler")
    expect(page.locator(".call")).to_have_count(0)
    expect(page.locator("#calls")).not_to_contain_text("Searching")
