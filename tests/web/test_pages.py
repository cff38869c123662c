"""The contents of the pages, and that no text of people or carriers becomes markup."""

import html
import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import delete, update

from callreel.app.web import carrier_missing, shown_settings
from callreel.asr.languages import LanguageError
from callreel.domain.call import Direction, Role
from callreel.domain.ids import CallId, LegSid, RecordingSid
from callreel.domain.recording import CloudState, LayerState
from callreel.domain.transcript import Final, Segment, TranscriptKind, Turn, Word
from callreel.domain.verdict import Reason, Verdict
from callreel.settings import load_settings
from callreel.store.calls import calls, layers
from callreel.store.calls.calls import CallRow
from callreel.store.db.database import Database
from callreel.store.db.tables import calls as calls_table
from callreel.store.db.tables import recordings as recordings_table
from callreel.store.db.tables import streams as streams_table
from callreel.store.transcripts import finals, transcripts
from callreel.web.app import WebContext, WebOptions, create_app
from callreel.web.errors import status_and_message
from callreel.web.options import SoftphoneOptions
from callreel.web.pages.render import BUILT, STATIC, TEMPLATES
from tests.support.seed import ABSENT, DONE, LIVE, NOON, SUSPECT, Seed
from tests.web.conftest import As, MakeApp
from tests.web.route_table import EVERYONE, OWN_CALLS, SIGNED_IN, TABLE

HOSTILE = "<script>alert('x')</script>\"onload=\"x"


def test_the_list_is_newest_first_and_marks_live_calls(ada: TestClient) -> None:
    page = ada.get("/").text
    assert re.findall(r'href="/calls/([0-9a-f]+)"', page) == [LIVE, ABSENT, SUSPECT, DONE]
    assert page.count('class="badge live"') == 1
    for badge in ("verified", "explained", "suspect"):
        assert f'class="badge {badge}"' in page
    assert "The technician&#39;s layers correlate 0.41." in page
    assert "+1 212-555-0123" in page


def test_the_list_pages_by_before(place: Seed) -> None:
    options = WebOptions(demo=True, calls_per_page=3)
    app = create_app(WebContext(place.database, place.blobs, place.bus, options))
    browser = TestClient(app, base_url="http://localhost")
    older = re.search(r'rel="next" href="([^"]+)"', browser.get("/").text)
    assert older is not None
    second = browser.get(older[1]).text
    assert re.findall(r'href="/calls/([0-9a-f]+)"', second) == [DONE]
    assert 'rel="next"' not in second
    assert "no earlier calls" in browser.get("/?before=2001-01-01T00:00:00").text


def test_an_empty_list_says_how_to_begin(place: Seed) -> None:
    with place.database.write() as conn:
        conn.execute(delete(calls_table))
    options = WebOptions(demo=True, public_url="https://calls.example")
    app = create_app(WebContext(place.database, place.blobs, place.bus, options))
    page = TestClient(app, base_url="http://localhost").get("/").text
    for word in (
        "No calls yet",
        "https://calls.example/twilio/voice",
        "callreel doctor",
        "callreel demo",
        "real account yet",
    ):
        assert word in page


def test_pages_name_commands_as_the_program_was_started(
    ada: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "callreel"
    program.touch(0o755)
    monkeypatch.setattr(sys, "argv", [str(program), "serve"])
    monkeypatch.setenv("PATH", "")
    assert f"<code>{program} user</code>" in ada.get("/people").text
    ada.cookies.clear()
    assert str(program) not in ada.get("/sign-in").text, "folders of the server are nothing for strangers"


def test_a_finished_call_shows_everything(ada: TestClient) -> None:
    page = ada.get(f"/calls/{DONE}").text
    assert page.count("<audio") == 8  # seven files, and the player of the transcript
    assert page.count('preload="none"') == 8
    assert 'href="#t=4.2"' in page
    assert "hello i am in front of the unit on the roof" in page
    assert "Two independent recordings of this call agree" in page
    assert f"audio_recordings/agent_{DONE}_20261122T120000Z_8000Hz.wav" in page
    assert re.search(r'<code title="[0-9a-f]{64}">', page)
    assert "$0.0490" in page
    assert page.count('class="light done"') == 3
    assert re.search(r'<time datetime="[^"]+" data-local="second">12:00:0\d UTC</time>', page)
    assert page.index("Call placed") < page.index("Call ended")


def test_a_live_call_reserves_the_lines_of_both_parties(ada: TestClient) -> None:
    page = ada.get(f"/calls/{LIVE}").text
    assert page.count("data-partial=") == 2
    assert 'aria-live="polite"' in page
    assert re.search(rf'data-live-call="/calls/{LIVE}/events\?after=\d+"', page)
    assert page.count('class="light recording"') == 6  # beside the words, and with the layers
    assert "<noscript>" in page


def test_a_layer_whose_stream_was_cut_is_paused(ada: TestClient, place: Seed) -> None:
    with place.database.write() as conn:
        for file in layers.of_call(conn, LIVE):
            layers.upsert(conn, LIVE, replace(file, state=LayerState.CLOSED))
    page = ada.get(f"/calls/{LIVE}").text
    assert page.count('class="light paused"') == 4
    assert page.count('class="light recording"') == 2  # the carrier keeps recording


def test_layer_with_lost_disk_writes_is_failed(ada: TestClient, place: Seed) -> None:
    with place.database.write() as conn:
        counts = {"agent": {"disk_lost_ms": 0}, "technician": {"disk_lost_ms": 2300}}
        conn.execute(streams_table.update().where(streams_table.c.call_id == DONE).values(counts=counts))
    page = ada.get(f"/calls/{DONE}").text
    assert page.count('class="light failed"') == 2
    assert "The input for speech recognition. 2.3 s could not be written to disk and are silent." in page
    assert ada.get(f"/api/v1/calls/{DONE}").json()["disk_lost_ms"] == 2300


def test_carrier_error_codes_are_explained(ada: TestClient) -> None:
    page = ada.get(f"/calls/{ABSENT}").text
    assert "no recording of this call. Reason: the recording was too short to keep (16101)." in page
    assert 'class="light none"' in page
    assert "The carrier has no recording of this call, so there is no final transcript." in page
    assert 'class="light repaired"' in page


def test_unknown_call_is_an_error_page(ada: TestClient) -> None:
    answer = ada.get("/calls/ffffffffffff", headers={"Accept": "text/html"})
    assert answer.status_code == 404
    assert "<h1>There is no such call.</h1>" in answer.text


def hostile_call(database: Database) -> CallId:
    """A call in which every text from outside is an attack."""
    call_id = CallId("badbadbadbad")
    turn = Turn(Role.AGENT, 0, 900, HOSTILE, 0.5, (Word(HOSTILE, 0, 900, 0.5),))
    with database.write() as conn:
        row = CallRow(
            id=call_id, direction=Direction.INCOMING, agent=HOSTILE, remote_number=HOSTILE,
            leg_sid=LegSid(HOSTILE), inbound_role=Role.TECHNICIAN, created_at=NOON,
        )  # fmt: skip
        calls.insert(conn, row)
        calls.set_verdict(conn, call_id, Verdict.SUSPECT, (Reason(HOSTILE, HOSTILE),), ())
        transcripts.put(conn, call_id, TranscriptKind.FINAL, HOSTILE, HOSTILE, [turn])
        finals.put(conn, call_id, Final(Segment(Role.AGENT, 0, 0, 900), turn.words))
    return call_id


def test_hostile_text_is_never_markup(ada: TestClient, place: Seed) -> None:
    call_id = hostile_call(place.database)
    for path in ("/", f"/calls/{call_id}"):
        page = ada.get(path).text
        assert "&lt;script&gt;" in page
        assert "<script>" not in page
        assert '"onload="' not in page
    asked = ada.post("/sign-in", data={"name": HOSTILE, "password": "wrong", "next": f"/{HOSTILE}"}).text
    assert "&lt;script&gt;" in asked
    assert "<script>" not in asked


@pytest.mark.parametrize("path", ["/", f"/calls/{DONE}", f"/calls/{LIVE}", "/docs"])
def test_pages_set_their_content_security_policy(ada: TestClient, path: str) -> None:
    page = ada.get(path).text
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=", page)
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", page))
    assert not re.findall(r'(?:src|href)="(?!/|#)[^"]*"', page)
    assert page.count("<h1") == page.count("<main") == 1
    assert ada.get(path).headers["cache-control"] == "no-store"


def test_the_api_description_lists_the_api(ada: TestClient) -> None:
    page = ada.get("/docs").text
    for path in ("/api/v1/calls", "/api/v1/calls/{call_id}", "/calls/{call_id}/events", "/health"):
        assert path in page
    assert "/twilio/" not in ada.get("/openapi.json").text
    [peaks] = re.findall(r"GET /api/v1/calls/\{call_id\}/peaks</code>.*?</section>", page, re.DOTALL)
    assert [re.sub(r"<[^>]+>", "", cell) for cell in re.findall(r"<t[hd][ >].*?</t[hd]>", peaks)][4:] == [
        *("call_id", "path", "string", "required"),
        *("layer", "query", "cloud | live_8k | live_16k", "&#34;cloud&#34;"),
        *("per_second", "query", "integer, at least 1, at most 100", "20"),
        *("original", "query", "boolean", "false"),
    ]
    examples = [html.unescape(found) for found in re.findall(r"<pre[^>]*><code>(.*?)</code>", page)]
    without = page.count("Only with a session, not with an API token.")
    assert len(examples) + without == page.count('<section class="operation">') and without > 3
    assert "curl 'https://calls.example/health'" in examples
    [note] = [one for one in examples if " -X POST " in one and one.endswith("/0123456789ab/notes'")]
    assert '-H "Authorization: Bearer $TOKEN"' in note and '-d \'{"kind": "mark", "at_ms": 0}\'' in note


ADVICE = re.compile(r"(CALLREEL|TWILIO|OPENAI)_[A-Z]|\bcallreel [a-z]+|callreel\.toml|Operations page")
"""What only people who run the server can use."""


def test_agents_never_see_advice_for_administrators(signed_in: As, place: Seed) -> None:
    maria, sam = signed_in("maria"), signed_in("sam")
    sid = RecordingSid("RE" + DONE * 2 + "00000000")
    with place.database.write() as conn:
        why = "the carrier answered 401: check TWILIO_AUTH_TOKEN"
        conn.execute(update(recordings_table).values(state=CloudState.PARKED, failure=why))
    paths = [
        route.path.replace("{call_id}", DONE)
        for route in TABLE
        if route.method == "GET" and route.who in (EVERYONE, SIGNED_IN, OWN_CALLS)
        and not re.search(r"events|/static/|\{(?!call_id)|\.zip|/welcome", route.path)
    ]  # fmt: skip
    assert len(paths) > 20 and f"/calls/{DONE}" in paths and "/docs" in paths
    for path in paths:
        page = maria.get(path, headers={"Accept": "text/html"})
        if page.headers.get("content-type", "").startswith("text/html"):
            assert (ADVICE.search(page.text) or [""])[0] == "", path
    failed, retry = "but downloading it failed.", f"/operations/recordings/{sid}/retry"
    of_agent, of_supervisor = (browser.get(f"/calls/{DONE}").text for browser in (maria, sam))
    assert failed in of_agent and retry not in of_agent
    assert f"{failed} The last attempt failed: the carrier answered 401" in of_supervisor
    assert of_supervisor.count(retry) == 1


def test_agents_get_no_advice_with_an_error() -> None:
    error = LanguageError("engine x does not transcribe German", "set CALLREEL_ENGINE_MODEL=small")
    assert status_and_message(error) == (422, "Engine x does not transcribe German.")
    assert "CALLREEL_ENGINE_MODEL" in str(error)


def test_buttons_that_are_updated_in_place_have_ids() -> None:
    """Idiomorph makes one button of another without an id: a click that had begun on `Approve` would reject."""
    template = (TEMPLATES / "call.html").read_text()
    notes = re.compile("<call-notes.*</call-notes>", re.DOTALL)  # drawn by their script
    buttons = re.findall("<button[^>]*>", notes.sub("", template))
    ids = [re.search('id="([^"{]*(?:{{.*?}}[^"{]*)*)"', button) for button in buttons]
    assert None not in ids and len(buttons) > 10


def test_static_files_are_small_and_ours(stranger: TestClient) -> None:
    files = [path for path in STATIC.rglob("*") if path.is_file() and path != voice_sdk()]
    for path in files:
        answer = stranger.get(f"/static/{path.relative_to(STATIC).as_posix()}")
        assert answer.status_code == 200
        assert len(answer.content) < 45_000
        assert not re.search(rb"https?://(?!www\.w3\.org/|localhost)", answer.content)


def test_the_first_page_is_light_without_the_voice_sdk(ada: TestClient) -> None:
    """The transferred bytes: the page and every script, although it needs only some."""
    page = ada.get("/")
    files = re.findall(r'(?:href|src)="(/static/[^"]+)"', page.text)
    assert len(files) >= 3
    files += [f"/static/built/{path.name}" for path in BUILT.glob("*.js") if path != voice_sdk()]
    sent = [len(page.content), *(wire_bytes(ada, file) for file in set(files))]
    assert len(sent) > 10
    assert sum(sent) < 150_000


def wire_bytes(browser: TestClient, address: str) -> int:
    """How many bytes of body the server sends for a file."""
    with browser.stream("GET", address) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-encoding"] == "gzip"
        return sum(len(part) for part in answer.iter_raw())


def test_static_files_are_compressed_and_cached(stranger: TestClient) -> None:
    [script] = re.findall(r'src="([^"]+)"', stranger.get("/sign-in").text)[:1]
    plain = stranger.get(script, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    for asked in ("gzip", "br;q=1.0, gzip;q=0.5", "*"):
        answer = stranger.get(script, headers={"Accept-Encoding": asked})
        assert answer.headers["content-encoding"] == "gzip", asked
        assert answer.content == plain.content
    for asked in ("gzip;q=0", "br"):
        assert "content-encoding" not in stranger.get(script, headers={"Accept-Encoding": asked}).headers
    assert answer.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"
    assert answer.headers["cache-control"] == plain.headers["cache-control"]
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-type"] == plain.headers["content-type"]
    again = stranger.get(script, headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304
    part = stranger.get(script, headers={"Range": "bytes=0-9"})
    assert (part.status_code, part.content) == (206, plain.content[:10])
    sound = stranger.get("/static/sounds/dtmf1.wav")
    assert "content-encoding" not in sound.headers
    assert sound.headers["cache-control"] == "public, max-age=3600"
    assert "cache-control" not in stranger.get("/static/nothing.js").headers


def test_the_phone_offers_languages_where_there_is_a_choice(make_app: MakeApp) -> None:
    def phone(*languages: tuple[str, str]) -> str:
        app = make_app(WebOptions(demo=True, languages=languages))
        return TestClient(app, base_url="http://localhost").get("/").text

    assert 'name="language"' not in phone()
    assert '<option value="de">German</option>' in phone(("de", "German"), ("cy", "Welsh"))


def test_only_the_softphone_page_may_connect_to_the_carrier(make_app: MakeApp) -> None:
    def policy(softphone: SoftphoneOptions, path: str = "/") -> str:
        app = make_app(WebOptions(demo=True, softphone=softphone))
        answer = TestClient(app, base_url="http://localhost").get(path)
        return str(answer.headers["content-security-policy"])

    set_up = SoftphoneOptions("AC1", "SK1", "secret", "AP1", "+12025550123")
    strict = policy(SoftphoneOptions())
    assert "connect-src" not in strict
    assert policy(set_up, "/statistics") == strict
    assert policy(set_up) == f"{strict}; connect-src 'self' wss://*.twilio.com https://*.twilio.com"
    local = policy(replace(set_up, local_signal="127.0.0.1:8002"))
    assert local == f"{strict}; connect-src 'self' ws://127.0.0.1:8002"


def test_list_page_of_an_agent_has_own_calls_only(signed_in: As) -> None:
    page = signed_in("maria").get("/").text
    assert re.findall(r'href="/calls/([0-9a-f]+)"', page) == [LIVE, ABSENT, DONE]
    assert 'href="/people"' not in page


def test_filtered_list_is_rendered_by_the_script(ada: TestClient) -> None:
    page = ada.get("/?verdict=suspect").text
    assert "Searching" in page
    assert "<noscript> Searching requires JavaScript." in page
    assert not re.findall(r'href="/calls/', page)


AGENT_PAGES = ["/", "/wall", "/statistics"]
SUPERVISOR_PAGES = [
    *AGENT_PAGES,
    "/report",
    "/technicians",
    "/labels",
    "/scorecards",
    "/phrase-rules",
    "/operations",
]
ADMINISTRATOR_PAGES = [*SUPERVISOR_PAGES, "/people", "/consent", "/webhooks", "/settings", "/audit"]


@pytest.mark.parametrize(
    ("name", "places"),
    [("maria", AGENT_PAGES), ("sam", SUPERVISOR_PAGES), ("ada", ADMINISTRATOR_PAGES)],
)
def test_navigation_shows_permitted_pages_only(signed_in: As, name: str, places: list[str]) -> None:
    browser = signed_in(name)
    page = browser.get("/statistics").text
    [nav] = re.findall(r"<nav aria-label=\"Main\"[^>]*>.*?</nav>", page, re.DOTALL)
    assert re.findall(r'href="([^"]+)"', nav) == places
    assert 'href="/statistics" aria-current="page"' in nav
    for path in places:
        assert browser.get(path).status_code == 200


def test_the_settings_are_shown_without_their_secrets(make_app: MakeApp) -> None:
    body = {"OPENAI_API_KEY": "sk-very-secret", "CALLREEL_DATABASE_URL": "postgresql://u:db-pass@db/calls"}
    settings = load_settings({"port": 9000}, body)
    shown, missing = shown_settings(settings), carrier_missing(settings)
    app = make_app(WebOptions(demo=True, settings=shown, missing=missing))
    page = TestClient(app, base_url="http://localhost").get("/settings").text
    assert "sk-very-secret" not in page
    assert "db-pass" not in page
    text = re.sub(r"<[^>]+>|\s+", " ", page)
    assert f"3 of {len(shown)} differ from the default" in text
    assert re.search(r"CALLREEL_PORT +9000 +command line", text)
    assert re.search(r"OPENAI_API_KEY +\*+ +environment", text)
    assert re.search(r"CALLREEL_HOST +127\.0\.0\.1 +default", text)
    assert "Incomplete" in text
    for name in ("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "CALLREEL_PUBLIC_URL"):
        assert f"<li><code>{name}</code>," in page


def test_complete_carrier_settings_are_called_complete() -> None:
    sid = "0" * 32
    settings = load_settings(
        {},
        {
            "TWILIO_ACCOUNT_SID": f"AC{sid}", "TWILIO_AUTH_TOKEN": "t", "TWILIO_API_KEY_SID": f"SK{sid}",
            "TWILIO_API_KEY_SECRET": "s", "TWILIO_TWIML_APP_SID": f"AP{sid}", "TWILIO_PHONE_NUMBER": "+12125550100",
            "CALLREEL_PUBLIC_URL": "https://calls.example",
        },
    )  # fmt: skip
    assert carrier_missing(settings) == []


def rows_of(page: str) -> list[list[str]]:
    """The cells of the page's first table, as text."""
    table = re.findall(r"<table.*?</table>", page, re.DOTALL)[0]
    rows = re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)
    return [
        [re.sub(r"<[^>]+>", "", cell).strip() for cell in re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL)]
        for row in rows
    ]


def test_statistics_page_works_without_script(ada: TestClient) -> None:
    asked = "from=2026-11-21&to=2026-11-23"
    page = ada.get(f"/statistics?{asked}").text
    head, day, together = rows_of(page)
    assert head[:5] == ["Day", "Calls", "Minutes", "Agent (min)", "Technician (min)"]
    assert day[:10] == ["2026-11-22", "4", "63.3", "0.1", "0.1", "0.1", "0", "1", "1", "1"]
    assert together == ["Total", *day[1:]]
    body = ada.get(f"/api/v1/statistics?{asked}").json()
    assert day[-1] == f"${body['total']['cost']:.2f}"
    [figures] = re.findall(r'<script type="application/json" data-figures>(.*?)</script>', page)
    assert json.loads(figures) == body
    assert 'name="from" type="date" required value="2026-11-21"' in page
    assert "Calls by day (UTC)" in page


def test_statistics_page_of_agents_with_and_without_calls(signed_in: As) -> None:
    asked = "/statistics?from=2026-11-22&to=2026-11-22"
    assert [row[1] for row in rows_of(signed_in("maria").get(asked).text)[1:]] == ["3", "3"]
    assert [row[:2] for row in rows_of(signed_in("zoe").get(asked).text)[1:]] == [
        ["There were no calls in this period."],
        ["Total", "0"],
    ]


def test_invalid_period_is_an_error_page(ada: TestClient) -> None:
    answer = ada.get("/statistics?from=2026-11-23&to=2026-11-22", headers={"Accept": "text/html"})
    assert answer.status_code == 422
    assert "<h1>A period ends on or after its first day and has at most 400 days.</h1>" in answer.text


@pytest.mark.parametrize(
    "path", ["/statistics", "/people", "/me", "/technicians", "/settings", "/operations"]
)
def test_administrators_get_all_pages(ada: TestClient, path: str) -> None:
    page = ada.get(path).text
    assert page.count("<h1") == page.count("<main") == 1
    assert "<noscript>" in page or path in ("/me", "/settings", "/operations")
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=", page)


@pytest.mark.parametrize("path", ["/people", "/me", "/technicians"])
def test_script_only_forms_are_inert_until_the_script_runs(ada: TestClient, path: str) -> None:
    """A browser would put the fields, even a password, into the URL."""
    forms = [form for form in re.findall(r"<form[^>]*>", ada.get(path).text) if "action=" not in form]
    assert forms and all("inert" in form for form in forms)


def voice_sdk() -> Path:
    """The one built file that is not ours."""
    manifest = json.loads((BUILT / "manifest.json").read_bytes())
    [file] = [entry["file"] for name, entry in manifest.items() if "@twilio/voice-sdk" in name]
    return BUILT / str(file)
