"""Every route of the application with every kind of person and every kind of forged request: `route_table.py` says what happens."""

import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx2 import Response
from sqlalchemy import update

from callreel.cluster.group_commit import GroupCommit
from callreel.domain.access import Scope
from callreel.domain.label import LabelColor
from callreel.domain.note import NoteKind
from callreel.domain.webhook import WebhookEvent
from callreel.domain.work import NoWork, Workflow
from callreel.ingest.callback_intake import CallbackIntake
from callreel.ops.health import Health
from callreel.ops.metrics import LiveGauges, Metrics
from callreel.runtime.clock import Clock
from callreel.runtime.counters import Counters
from callreel.runtime.secret_tokens import new_token, token_hash
from callreel.store.calls import labels, notes
from callreel.store.db.tables import api_tokens as token_table
from callreel.store.insight import analyses
from callreel.store.people import api_tokens, sessions, technicians, users
from callreel.store.webhooks import deliveries, endpoints
from callreel.twilio.dial_policy import DialPolicy
from callreel.web.app import WebContext, WebOptions, create_app
from callreel.web.auth import signin
from callreel.web.auth.signin import COOKIE
from callreel.web.body_limits import limit_of
from callreel.web.carrier.webhooks import CarrierServices
from callreel.web.options import SoftphoneOptions
from tests.support.installation import answering
from tests.support.rows import a_found_item, a_review, a_rule, an_analysis_row
from tests.support.seed import DONE, NOON, Seed, open_seed
from tests.web import route_table
from tests.web.carrier_side import PUBLIC, consenting, signature_check
from tests.web.conftest import HASH, bearer
from tests.web.route_table import (
    ADMINISTRATORS,
    CARRIER,
    EVERYONE,
    OWN_CALLS,
    SIGNED_IN,
    SUPERVISORS,
    TABLE,
    Route,
)
from tests.web.routes import endpoints as routed

OK: Final = None
SECRET: Final = "whsec_" + "A" * 32
WHO: Final[Mapping[str, Mapping[str, int | None]]] = {
    EVERYONE: {"stranger": OK, "other agent": OK, "own agent": OK, "supervisor": OK, "administrator": OK},
    SIGNED_IN: {"stranger": 401, "other agent": OK, "own agent": OK, "supervisor": OK, "administrator": OK},
    OWN_CALLS: {"stranger": 401, "other agent": 404, "own agent": OK, "supervisor": OK, "administrator": OK},
    SUPERVISORS: {"stranger": 401, "other agent": 403, "own agent": 403, "supervisor": OK, "administrator": OK},
    ADMINISTRATORS: {
        "stranger": 401, "other agent": 403, "own agent": 403, "supervisor": 403, "administrator": OK,
    },
    CARRIER: {
        "stranger": 403, "other agent": 403, "own agent": 403, "supervisor": 403, "administrator": 403,
    },
}  # fmt: skip
"""The answer to each person; OK is the route's own status. An expired session counts as none."""

REFUSED: Final = {401: {"not_signed_in"}, 403: {"forbidden", "bad_signature"}, 404: {"not_found"}}
NAMES: Final = {"other agent": "zoe", "own agent": "maria", "supervisor": "sam", "administrator": "ada"}
ENDED: Final = ("expired session", "session before a new password", "session of a disabled account")
PEOPLE: Final = ("stranger", *NAMES, *ENDED, "token with the scope", "token without the scope")

FORGED: Final[Mapping[str, Mapping[str, str]]] = {
    "cross-site": {"Sec-Fetch-Site": "cross-site"},
    "another host of the site": {"Sec-Fetch-Site": "same-site"},
    "cross-site with our origin": {"Sec-Fetch-Site": "cross-site", "Origin": PUBLIC},
    "another origin": {"Origin": "https://evil.example"},
    "another port": {"Origin": f"{PUBLIC}:8443"},
    "opaque origin": {"Origin": "null"},
    "origin that contains ours": {"Origin": f"{PUBLIC}.evil.example"},
}
STATE_CHANGING: Final = [
    route for route in TABLE if route.method not in ("GET", "HEAD") and route.who is not CARRIER
]


class Work(NoWork):
    """A queue in which each recording has one parked attempt."""

    def run_now(self, workflow: Workflow, key: str) -> int:
        return 1

    def cancel(self, workflow: Workflow, key: str) -> int:
        return 1


@dataclass(slots=True)
class Doors:
    """The application, headers of each person, and a database that goes back to its first state."""

    app: FastAPI
    client: TestClient
    headers: dict[str, dict[str, str]]
    tokens: dict[str, int]
    values: dict[str, str]
    file: Path
    first: Path
    watch: sqlite3.Connection
    version: int = 0

    def send(
        self, route: Route, who: str, headers: Mapping[str, str] | None = None, **content: Any
    ) -> Response:
        """The answer to `who`, after whatever earlier requests changed was taken back."""
        self.take_back()
        path, token = route.path, self.tokens.get(who, self.tokens["administrator"])
        for name, value in {**self.values, "token_id": str(token)}.items():
            path = path.replace(f"{{{name}}}", value)
        assert "{" not in path, f"give the new parameter of {route.path} a value in Doors.values"
        content = content or {"json": route.json, "data": route.form}
        self.client.cookies.clear()
        return self.client.request(
            route.method, path, headers={**self.headers.get(who, {}), **(headers or {})}, **content
        )

    def changed(self) -> bool:
        (version,) = self.watch.execute("PRAGMA data_version").fetchone()
        return bool(version != self.version)

    def take_back(self) -> None:
        if self.changed():
            with sqlite3.connect(self.first) as first, sqlite3.connect(self.file) as live:
                live.execute("PRAGMA synchronous = OFF")
                first.backup(live)
            (self.version,) = self.watch.execute("PRAGMA data_version").fetchone()


@pytest.fixture(scope="module")
def doors(seeded_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    folder = tmp_path_factory.mktemp("doors")
    with (
        sqlite3.connect(seeded_folder / "callreel.db") as seeded,
        sqlite3.connect(folder / "callreel.db") as copy,
    ):
        seeded.backup(copy)
    (folder / "data").symlink_to(seeded_folder / "data")
    place = open_seed(folder)
    place.bus.close()  # live events end after the replay
    opened = _filled(place, folder)
    with sqlite3.connect(folder / "callreel.db") as live, sqlite3.connect(opened.first) as first:
        live.backup(first)
    with opened.client, pytest.MonkeyPatch.context() as patch:
        # A session's use is stored once a minute. A refused request after a slow minute would seem to change something.
        patch.setattr(signin, "_TOUCH_INTERVAL", timedelta(days=1))
        yield opened
    opened.watch.close()
    place.database.close()


def _filled(place: Seed, folder: Path) -> Doors:
    """What the routes need: sessions and tokens of everybody, a note, a technician, an account."""
    headers: dict[str, dict[str, str]] = {}
    tokens: dict[str, int] = {}
    now = datetime.now(UTC)

    def session(name: str, until: timedelta = timedelta(days=9)) -> dict[str, str]:
        token = new_token()
        user = users.get_by_name(conn, name)
        assert user is not None
        sessions.add(conn, token_hash(token), user.id, now, until.total_seconds())
        return {"Cookie": f"{COOKIE}={token}"}

    with place.database.write() as conn:
        for who, name in NAMES.items():
            headers[who] = session(name)
            user = users.get_by_name(conn, name)
            assert user is not None
            tokens[who] = api_tokens.add(conn, user.id, "old", new_token(), [Scope.READ_CALLS], NOON, None).id
        for number, who in enumerate(ENDED):
            role = users.get_by_name(conn, "ada")
            assert role is not None
            gone = users.add(conn, f"gone{number}", HASH, role.role, NOON)
            headers[who] = session(gone.name, timedelta(seconds=-1) if number == 0 else timedelta(days=9))
            if number:
                users.change(
                    conn, gone.id, password_hash=HASH if number == 1 else None, disabled=number == 2 or None
                )
        note = notes.add(conn, DONE, NoteKind.MARK, 10, "", "maria", NOON)
        label = labels.add(conn, "complaint", LabelColor.RED)
        technician = technicians.add(conn, "Tom", "+12125550111", NOON)
        endpoint = endpoints.add(
            conn, "crm", "https://crm.example/in", [WebhookEvent.VERDICT], SECRET, NOON, numbers=False
        )
        delivery_id = deliveries.order(conn, endpoint.id, WebhookEvent.VERDICT, {}, NOON, DONE)
        changed = users.get_by_name(conn, "zoe")
        assert changed is not None
    rule = a_rule(place.database)
    review = a_review(place.database, DONE, "ada")
    with place.database.write() as conn:
        analyses.add(conn, an_analysis_row(DONE), [a_found_item()])
        [item] = analyses.items_of(conn, DONE)
    for scope in ("", *{route.scope for route in TABLE}):
        matching = [one for one in Scope if scope and fnmatch(one, scope)]
        others = [one for one in Scope if one not in matching]
        headers[f"token with {scope}"] = bearer(place, "ada", *(matching or others))
        headers[f"token without {scope}"] = bearer(place, "ada", *others)
    with place.database.write() as conn:  # their use is not stored again
        conn.execute(update(token_table).values(last_used_at=now + timedelta(days=1)))
    values = {
        "call_id": DONE, "sha256": "0" * 64, "name": "1", "ending": "txt", "sid": "RE" + "0" * 32, "note_id": str(note.id),
        "session_id": "999999", "redaction_id": "999999",
        "person_id": str(changed.id), "technician_id": str(technician.id), "endpoint_id": str(endpoint.id),
        "delivery_id": delivery_id, "label_id": str(label.id), "filter_id": "1", "rule_id": str(rule.id),
        "scorecard_id": str(review.scorecard_id), "review_id": str(review.id),
        "item_id": str(item.id),
    }  # fmt: skip
    file = folder / "callreel.db"
    watch = sqlite3.connect(file, check_same_thread=False)
    app = _app(place)
    client = TestClient(app, base_url=PUBLIC, follow_redirects=False)
    return Doors(app, client, headers, tokens, values, file, folder / "first.db", watch, -1)


def _app(place: Seed) -> FastAPI:
    sid = "0" * 32
    phone = SoftphoneOptions(f"AC{sid}", f"SK{sid}", "s" * 32, f"AP{sid}", "+12125550100")
    counters, clock = Counters(), Clock()
    health = Health(clock, {})
    metrics = Metrics(place.database, place.blobs, counters, health, clock, lambda: LiveGauges(0, 0, 0, 0))
    options = WebOptions(softphone=phone, dial_policy=DialPolicy.for_caller_id("+12125550100"))
    context = WebContext(
        place.database, place.blobs, place.bus, options, clock, health, metrics, Work()
    )  # fmt: skip
    intake = CallbackIntake(
        clock, recording_changed=lambda: None, leg_ended=lambda call_id: None, stream_ended=lambda sid: None
    )
    carrier: Any = context
    services = CarrierServices(
        signature_check(),
        PUBLIC,
        answering(carrier),
        consenting(context),
        intake,
        GroupCommit(place.database, context.publisher),
        counters,
    )
    app = create_app(context, services)
    return app


def named(route: Route) -> str:
    return f"{route.method} {route.path}"


def expected(route: Route, who: str) -> int | tuple[int, ...]:
    if who in ENDED:
        who = "stranger"
    if who == "token with the scope":
        refused = 403 if route.scope == route_table.SESSION else OK
    elif who == "token without the scope":
        refused = 403 if route.scope else OK
    else:
        refused = WHO[route.who][who]
    if route.who is CARRIER:
        refused = 403
    return route.status if refused is OK else refused


def test_every_route_has_one_line_in_the_table(doors: Doors) -> None:
    there = {f"{method} {path}" for method, path, _ in routed(doors.app.routes)}
    lines = list(map(named, TABLE))
    assert there - set(lines) == set(), "add a line for each in tests/web/route_table.py"
    assert set(lines) - there == set() and len(lines) == len(there), (
        "remove lines from tests/web/route_table.py"
    )


@pytest.mark.parametrize("route", TABLE, ids=named)
def test_route_answers_each_person_as_the_table_says(doors: Doors, route: Route) -> None:
    answers, wanted = {}, {}
    for who in PEOPLE:
        key = who.replace("the scope", route.scope)
        answer = doors.send(route, key)
        answers[who], wanted[who] = answer.status_code, expected(route, who)
        if answer.status_code in REFUSED and route.who is not EVERYONE:
            assert not doors.changed(), f"a refused request of {who} changed the database"
            assert route.method == "HEAD" or answer.json()["error"]["code"] in REFUSED[answer.status_code]
    assert {
        who: wanted[who] for who, status in answers.items() if status not in _statuses(wanted[who])
    } == {}, answers


def _statuses(of: int | tuple[int, ...]) -> tuple[int, ...]:
    return of if isinstance(of, tuple) else (of,)


@pytest.mark.parametrize("route", STATE_CHANGING, ids=named)
def test_forged_requests_are_refused_and_change_nothing(doors: Doors, route: Route) -> None:
    for how, headers in FORGED.items():
        answer = doors.send(route, "administrator", headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "cross_site"), how
        assert not doors.changed(), how


@pytest.mark.parametrize("route", [one for one in STATE_CHANGING if one.json or one.form], ids=named)
def test_body_of_another_type_is_refused_and_changes_nothing(doors: Doors, route: Route) -> None:
    """A page of another site can send forms and plain text without the browser's preflight request."""
    right = "application/json" if route.json else "application/x-www-form-urlencoded"
    body = TestClient(doors.app).build_request("POST", "/", json=route.json, data=route.form).read()
    for kind in (
        "application/json",
        "application/x-www-form-urlencoded",
        "text/plain",
        "multipart/form-data; boundary=x",
        None,
    ):
        if kind != right:
            answer = doors.send(route, "administrator", {"Content-Type": kind} if kind else {}, content=body)
            assert answer.status_code == 415, (kind, answer.text)
            assert not doors.changed(), kind


def _text_fields(
    schema: dict[str, Any], document: dict[str, Any], at: tuple[str, ...] = ()
) -> Iterator[tuple[str, ...]]:
    """Where a schema has free text, as names of fields; the only element of an array is `[]`."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    for one in schema.get("anyOf", ()):
        yield from _text_fields(one, document, at)
    if schema.get("type") == "string" and "enum" not in schema:
        yield at
    for name, inner in schema.get("properties", {}).items():
        yield from _text_fields(inner, document, (*at, name))
    if "items" in schema:
        yield from _text_fields(schema["items"], document, (*at, "[]"))


def _with_text(value: Any, at: tuple[str, ...], text: str) -> Any:
    """A body like `value` with `text` in one place."""
    if not at:
        return text
    if at[0] == "[]":
        return [_with_text((value or [None])[0], at[1:], text)]
    known = value if isinstance(value, dict) else {}
    return {**known, at[0]: _with_text(known.get(at[0]), at[1:], text)}


@pytest.mark.parametrize("route", [one for one in STATE_CHANGING if one.json or one.form], ids=named)
def test_longest_texts_are_refused_in_every_field(doors: Doors, route: Route) -> None:
    """A megabyte is over the limit of every body; what a body may just hold is over the limit of the field."""
    if route.json:
        operation = doors.app.openapi()["paths"][route.path][route.method.lower()]
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        fields = sorted(set(_text_fields(schema, doors.app.openapi())))
    else:
        fields = [(name,) for name in route.form or {}]
    room = limit_of(route.method, route.path).size_bytes - 2_000
    for length, refusals in ((1 << 20, {413: "too_large"}), (room, {422: "invalid", 409: "conflict"})):
        text = "pump " * (length // 5 + 1)
        for field in fields:
            given = _with_text(route.json or route.form, field, text)
            content = {"json": given} if route.json else {"data": given}
            answer = doors.send(route, "administrator", **content)
            code = answer.json()["error"]["code"]
            assert refusals.get(answer.status_code) == code, (field, length, answer.text[:300])
            assert not doors.changed(), field
            assert text[:50] not in answer.text
