"""Hostile text in every text column of the database, on every page, in every export and in every event.

The columns come from the tables and the addresses from `route_table.py`, so that new ones are covered.
"""

import csv
import io
import json
import logging
import re
import zipfile
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import JSON, Connection, Table, select, update

from callreel.domain.access import Scope
from callreel.domain.call import Role
from callreel.domain.cost import Prices
from callreel.domain.events import EventKind, LiveEvent
from callreel.domain.note import NoteKind
from callreel.domain.work import ON_RECORDINGS, NoWork, WorkItem, WorkState
from callreel.runtime.log import JsonLines, TextLines
from callreel.runtime.secret_tokens import new_token, token_hash
from callreel.scoring.dispute import ReviewState
from callreel.scoring.questions import Question, QuestionKind
from callreel.scoring.score import Remark
from callreel.store.calls import erasures, holds, notes, phrase_alerts
from callreel.store.db.tables import metadata
from callreel.store.db.types import Structured, Text, storable_text
from callreel.store.people import api_tokens, sessions, technicians, users
from callreel.store.scorecards import forms, reviews
from callreel.store.scorecards.forms import VersionRow
from callreel.store.transcripts import vocabulary
from callreel.web.app import WebContext, WebOptions, create_app
from callreel.web.auth.signin import COOKIE
from callreel.web.options import ShownSetting
from tests.support.rows import a_review, a_rule
from tests.support.seed import ABSENT, DONE, LIVE, NOON, SUSPECT, Seed, record
from tests.web.chromium import serving
from tests.web.route_table import TABLE, filled

pytest_plugins = ("tests.web.chromium",)

HOSTILE: Final = (
    "=cmd|'/c calc'!A1 <script>window.pwned=1;alert(1)</script><img src=//evil.example/x onerror=alert(2)>\"'><b data-pwned>"
    " javascript:alert(3) {{7*191}}${7*191}{%print(7*191)%}<%=7*191%>#{7*191}"
    " \r\nSet-Cookie: pwned=1\r\n\r\n ../../etc/passwd %2e%2e/ file:///etc/passwd\0 \x1b[2J \u202egnp.exe\u2066 --> end"
)
SHOWN: Final = "<script>window.pwned=1;alert(1)</script>"
EVALUATED: Final = str(7 * 191)

# Columns that only hold what this server or the carrier generates, and is checked where it comes in.
IDS: Final = {
    "id", "sid", "call_id", "leg_sid", "parent_sid", "owner", "token_hash", "password_hash", "sha256", "path", "spool", "key",
    "subject", "run", "tokens", "identity",
}  # fmt: skip
FREE: Final = {
    "text",
    "detail",
    "reason",
    "by",
    "release_reason",
    "released_by",
    "failure",
    "error_code",
    "name",
}
"""Keys of text that people, engines or the carrier write, within JSON columns."""


class Parked(NoWork):
    def unfinished(self, *prefixes: str) -> list[WorkItem]:
        sid = f"RE{DONE * 2}00000000"
        return [
            WorkItem(ON_RECORDINGS[0], f"{sid}#1", state, NOON, 3, HOSTILE, HOSTILE) for state in WorkState
        ]


@dataclass(frozen=True, slots=True)
class Poisoned:
    """`session` is the cookie of an administrator, whose name is hostile too."""

    place: Seed
    app: FastAPI
    session: str

    def client(self) -> TestClient:
        client = TestClient(self.app, base_url="https://calls.example")
        client.cookies.set(COOKIE, self.session)
        return client


@pytest.fixture
def poisoned(place: Seed) -> Poisoned:
    """One row at least in every table that a page shows, and the hostile text in every text column."""
    rule = a_rule(place.database, name=HOSTILE, phrases=(HOSTILE,)).rule
    review = a_review(place.database, DONE, "x", ReviewState.DISPUTED, "x")
    question = Question(1, HOSTILE, QuestionKind.YES_NO, 5)
    with place.database.write() as conn:
        version = VersionRow(review.scorecard_id, 2, HOSTILE, (question,), "x", NOON)
        forms.add_version(conn, version, 1)
        remark = Remark(1, HOSTILE, (900,))
        reviews.put(conn, replace(review, version=2, remarks=(remark,), dispute=HOSTILE, disputed_at=NOON))
        for call_id in (DONE, LIVE):
            notes.add(conn, call_id, NoteKind.NOTE, 10, "x", "x", NOON)
            holds.release(conn, holds.add(conn, call_id, "x", "x", NOON).id, "x", "x", NOON)
            holds.add(conn, call_id, "x", "x", NOON)
        ada = users.get_by_name(conn, "ada")
        assert ada is not None
        session = new_token()
        sessions.add(conn, token_hash(session), ada.id, datetime.now(UTC), 9000)
        api_tokens.add(conn, ada.id, "x", "x", [Scope.READ_CALLS], NOON, None)
        technicians.add(conn, "x", "+12125550123", NOON)
        technicians.add(conn, "x", "+12125550124", NOON)
        vocabulary.replace(conn, ["x"], "x", NOON)
        for call_id in (DONE, LIVE):
            phrase_alerts.put(conn, call_id, rule, Role.AGENT, "agent-0", NOON, (900, 3_000))
        assert erasures.begin(
            conn,
            erasures.ErasureRow(
                ABSENT,
                "x",
                NOON,
                {},
                reason="x",
                holds=[{"by": "x", "at": NOON.isoformat(), "released_at": None}],
            ),
        )
        for table in metadata.sorted_tables:
            for column in table.columns:
                if isinstance(column.type, Text) and column.name not in IDS:
                    _poison(conn, table, column.name, unique=bool(column.unique))
        for table in metadata.sorted_tables:
            for column in table.columns:
                if isinstance(column.type, Structured | JSON):
                    _poison_document(conn, table, column.name)
    context = WebContext(place.database, place.blobs, place.bus, OPTIONS, work=Parked())
    return Poisoned(place, create_app(context), session)


def _poison(conn: Connection, table: Table, column: str, *, unique: bool) -> None:
    key = list(table.primary_key.columns)[0]
    for number, (row,) in enumerate(conn.execute(select(key)).all()):
        text = f"{HOSTILE}{number}" if unique else HOSTILE
        conn.execute(update(table).where(key == row).values({column: text}))


def _poison_document(conn: Connection, table: Table, column: str) -> None:
    key = list(table.primary_key.columns)[0]
    for row, document in conn.execute(select(key, table.c[column])).all():
        conn.execute(update(table).where(key == row).values({column: _hostile(document)}))


def _hostile(value: Any) -> Any:
    """`value` with hostile text in place of free text."""
    if is_dataclass(value) and not isinstance(value, type):
        free = {field.name for field in fields(value)} & FREE
        return replace(value, **dict.fromkeys(free, HOSTILE))
    if isinstance(value, dict):
        return {
            key: HOSTILE if key in FREE and isinstance(each, str) else _hostile(each)
            for key, each in value.items()
        }
    if isinstance(value, list | tuple):
        return type(value)(_hostile(each) for each in value)
    return value


OPTIONS: Final = WebOptions(
    title=f"Calls {HOSTILE}",
    secure_cookies=False,
    role_names=dict.fromkeys(Role, storable_text(HOSTILE)),
    prices=Prices(currency="<b data-pwned>"),
    public_url=f"https://x.example/{HOSTILE}",
    settings=[ShownSetting(HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE)],
    languages=[("de", HOSTILE)],
    engine_report=lambda: {"engines": [{"name": HOSTILE}]},
    missing=[HOSTILE],
)


ADDRESSES: Final = [
    filled(route.path, call_id=call_id, ending=ending)
    for route in TABLE
    if route.method == "GET"
    for call_id in ((DONE, LIVE, SUSPECT, ABSENT) if "{call_id}" in route.path else ("",))
    for ending in (("txt", "srt", "vtt", "json", "csv") if "{ending}" in route.path else ("",))
]
PAGES: Final = [
    path for path in ADDRESSES
    if not path.startswith(("/api/v1/", "/health", "/static", "/openapi", "/metrics", "/events", "/notices"))
    and "/layers/" not in path and "/transcript." not in path and "/trail." not in path and not path.endswith((".csv", ".zip", "/events", "/listen"))
]  # fmt: skip

WATCH = """
    window.violations = [];
    document.addEventListener("securitypolicyviolation", (one) => window.violations.push(`${one.violatedDirective} ${one.blockedURI}`));
"""
FOUND = r"""() => {
    const marks = (text, pattern) => (text.match(pattern) ?? []).length;
    const open = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        if (["SCRIPT", "OPTION", "TEXTAREA"].includes(node.parentElement.tagName)) continue;
        const unclosed = marks(node.data, /[\u202a\u202b\u202d\u202e]/g) > marks(node.data, /\u202c/g) || marks(node.data, /[\u2066-\u2068]/g) > marks(node.data, /\u2069/g);
        if (unclosed) open.push(`${node.parentElement.outerHTML.slice(0, 150)}`);
    }
    return {
        violations: window.violations,
        ran: window.pwned ?? null,
        made: document.querySelectorAll("[data-pwned], img[src*=evil], script:not([src]):not([type='application/json'])").length,
        open,
        text: document.body.innerText,
        evil: [...document.querySelectorAll("[href], [src], [action]")].map((one) => one.getAttribute("href") ?? one.getAttribute("src") ?? one.getAttribute("action")).filter((to) => /^\s*(javascript|data|file|\/\/|https?:)/i.test(to)),
    };
}"""


def effects(page: Page, *, shown: bool = True) -> dict[str, object]:
    """What the hostile text has done on the page; it must be readable as it was written."""
    found = page.evaluate(FOUND)
    text = found.pop("text")
    found["evaluated"] = EVALUATED in text
    found["hidden"] = shown and SHOWN not in text
    return {what: much for what, much in found.items() if much}


@pytest.mark.browser
@pytest.mark.slow
def test_hostile_text_has_no_effect_on_any_page(browser: Browser, poisoned: Poisoned) -> None:
    with serving(poisoned.app, poisoned.place) as url:
        context = browser.new_context(locale="en-US", timezone_id="UTC")
        context.add_cookies([{"name": COOKIE, "value": poisoned.session, "url": url}])
        page, errors, elsewhere = context.new_page(), list[str](), list[str]()
        done: dict[str, dict[str, object]] = {}
        page.add_init_script(WATCH)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("dialog", lambda dialog: errors.append(f"dialog: {dialog.message}"))
        page.on(
            "request",
            lambda one: elsewhere.append(one.url) if not one.url.startswith((url, "data:")) else None,
        )
        assert {"/", f"/calls/{DONE}", "/people", "/erasures"} <= set(PAGES)
        for path in PAGES:
            page.goto(
                url + path, wait_until="networkidle" if path in ("/people", "/me", "/technicians") else "load"
            )
            done[path] = effects(page, shown=path != "/docs")
        page.goto(f"{url}/?q={quote(HOSTILE.replace(chr(0), '').replace(chr(27), ''))}")
        page.wait_for_load_state("networkidle")
        done["search"] = effects(page)
        page.goto(f"{url}/calls/{LIVE}")
        for kind, data in ((EventKind.FINAL, {"number": 9}), (EventKind.PARTIAL, {"number": 10})):
            said: dict[str, Any] = {
                "role": "agent",
                "start_ms": 20_000,
                "end_ms": 21_000,
                "text": f"{HOSTILE} {kind}",
                **data,
            }
            poisoned.place.bus.publish(
                record(poisoned.place, LIVE, kind, **said)
                if kind is EventKind.FINAL
                else LiveEvent(LIVE, kind, said)
            )
            expect(page.locator("live-transcript")).to_contain_text(f"end {kind}")
        done["live"] = effects(page)
        context.close()
    assert {path: found for path, found in done.items() if found} == {}
    assert (errors, elsewhere) == ([], [])


def test_hostile_text_stays_text_in_every_answer(poisoned: Poisoned) -> None:
    """Exports, the API and events: their type is no page, no header or line is made of it, no cell is a formula."""
    poisoned.place.bus.close()
    ada = poisoned.client()
    for path in ADDRESSES:
        answer = ada.get(path)
        kind = answer.headers.get("content-type", "").partition(";")[0]
        assert answer.headers["x-content-type-options"] == "nosniff" and "pwned" not in answer.headers
        assert (kind == "text/html") is (path in PAGES) or path.startswith(
            ("/sign-in", "/welcome", "/ask")
        ), (
            path,
            kind,
        )
        if answer.status_code != 200 or kind in ("text/html", "audio/wav"):
            continue
        if kind == "application/json":
            json.loads(answer.text)
        elif kind == "text/csv":
            for row in csv.reader(io.StringIO(answer.text)):
                assert not any(cell.lstrip().startswith(("=", "+", "-", "@")) for cell in row), row
        elif kind == "application/zip":  # of files that are answers too
            with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
                for name in archive.namelist():
                    assert re.fullmatch(r"[\w./-]+", name) and ".." not in name, name
        elif kind == "text/event-stream":
            for line in answer.text.splitlines():
                assert line.partition(":")[0] in ("", "id", "event", "data", "retry"), line
        else:
            assert "Set-Cookie: pwned=1" not in answer.text.splitlines(), path
            assert "\0" not in answer.text and "\x1b" not in answer.text


def test_hostile_text_makes_no_lines_in_the_log(poisoned: Poisoned, caplog: pytest.LogCaptureFixture) -> None:
    ada = poisoned.client()
    caplog.set_level("DEBUG", "callreel")
    for text in (HOSTILE, HOSTILE.translate(dict.fromkeys((0, 27)))[:200]):
        for route in TABLE:
            values = dict.fromkeys(route.json or route.form or {}, text)
            path = route.path.format_map(_Any())
            ada.request(
                route.method, path, json=values if route.json else None, data=values if route.form else None
            )
    assert {record.getMessage() for record in caplog.records} >= {"sign-in failed"}
    log = logging.getLogger("callreel.test")
    log.warning("failed: %s", HOSTILE, extra={"call_id": HOSTILE})
    for kind in (TextLines(), JsonLines()):
        assert all(kind.format(item).isprintable() for item in caplog.records)
    assert not any("pwned" in item.getMessage() for item in caplog.records[:-1]), (
        "what a client sends is not logged"
    )


class _Any(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "1"
