"""Hostile values in every parameter, body field and form field of every route: no answer is a 500, on both databases."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from httpx2 import Response
from sqlalchemy import update

from callreel.cluster.group_commit import GroupCommit
from callreel.domain.access import UserRole
from callreel.domain.caller import WITHHELD
from callreel.ingest.callback_intake import CallbackIntake
from callreel.runtime.counters import Counters
from callreel.store.db.tables import users as users_table
from callreel.store.people import users
from callreel.web import app as web
from callreel.web.app import WebContext, WebOptions, create_app
from callreel.web.carrier.webhooks import CarrierServices
from tests.support.installation import answering
from tests.support.postgres import postgres_server
from tests.support.seed import DONE, NOON, Seed, seed
from tests.web.carrier_side import PUBLIC, ROUTES, consenting, signature_check, signed
from tests.web.conftest import HASH, enter

TEXTS = (
    "a\0b", "\0", "\x01\x1b[2J\x7f", "\ufffe\ufdd0", "\u202ea\u2066", "9" * 19, "9" * 23, "-" + "9" * 23, str(2**63), str(2**31),
    "9" * 5000, "\u0661\u0662", "NaN", "inf", "1e400", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "0001-01-01",
    "9999-12-31", "", " ", "%00", "..", "true", "x" * 3000,
)  # fmt: skip
REFUSED_BY_SOME = (
    "a\0b",
    "\ufffe\ufdd0",
    "9" * 19,
    "9" * 23,
    str(2**63),
    "NaN",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31",
)
"""Texts that one database stores or compares and another refuses; the second database gets only these."""
AGAIN = ("a\0b", "\ufffe\ufdd0", "9" * 23, "NaN", "9999-12-31")
"""For a parameter or field that another route has had, with the same schema: only its use can differ, not its reading."""
OTHER_VALUES: tuple[Any, ...] = (
    "\ud83d",
    "a\udfffb",
    2**31,
    2**63,
    -(2**63),
    10**400,
    1.5,
    True,
    None,
    [],
    {"\ud83d": "\0"},
)
NUMBERS: tuple[Any, ...] = (2**31, 2**63, -(2**63), 10**400)
OTHERS_AGAIN: tuple[Any, ...] = ("\ud83d", 10**400, None)
SAID_ABOUT_IT = ("title", "description", "default", "examples")
PATHS = {"call_id": DONE, "name": "1", "ending": "txt", "sid": "RE" + "0" * 32}
STREAMS = {"/events", "/calls/{call_id}/events"}


Send = Callable[..., Response]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def texts(kind: str) -> tuple[str, ...]:
    return TEXTS if kind == "sqlite" else REFUSED_BY_SOME


@pytest.fixture(scope="module")
def place(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seed]:
    folder = tmp_path_factory.mktemp("edges")
    if kind == "sqlite":
        yield from _seeded(folder, None)
        return
    with postgres_server() as server:
        yield from _seeded(folder, server.new_url())


def _seeded(folder: Path, url: str | None) -> Iterator[Seed]:
    place = seed(folder, url)
    with place.database.write() as conn:
        users.add(conn, "ada", HASH, UserRole.ADMINISTRATOR, NOON)
    place.bus.close()  # live events end after the replay
    yield place
    place.database.close()


@pytest.fixture(scope="module")
def client(place: Seed) -> TestClient:
    context = WebContext(place.database, place.blobs, place.bus, WebOptions())
    intake = CallbackIntake(
        context.clock,
        recording_changed=lambda: None, leg_ended=lambda call_id: None, stream_ended=lambda sid: None,
    )  # fmt: skip
    commits = GroupCommit(place.database, context.publisher)
    voice = answering(cast(Any, context))
    services = CarrierServices(
        signature_check(), PUBLIC, voice, consenting(context), intake, commits, Counters()
    )
    app = create_app(context, services)
    return TestClient(app, base_url=PUBLIC, follow_redirects=False, raise_server_exceptions=False)


@pytest.fixture
def send(client: TestClient, place: Seed) -> Send:
    """Sends a request as an administrator, whatever earlier requests did to sessions and accounts."""

    def request(method: str, url: str, **content: Any) -> Response:
        answer = client.request(method, url, **content)
        if answer.status_code in (401, 403):
            with place.database.write() as conn:
                conn.execute(update(users_table).values(disabled=False, role=UserRole.ADMINISTRATOR))
            answer = enter(client, place, "ada").request(method, url, **content)
        assert answer.status_code < 500, (method, url[:80], str(content)[:200], answer.text[:200])
        return answer

    return request


def described(routes: list[APIRoute]) -> dict[str, Any]:
    """The OpenAPI document of all routes, pages and forms too."""
    app = FastAPI()
    for route in routes:
        app.add_api_route(route.path, route.endpoint, methods=list(route.methods or ()))
    return app.openapi()


def operations() -> list[tuple[str, str, dict[str, Any], dict[str, Any]]]:
    routes = [route for module in web._ROUTED for route in module.routes.routes]
    document = described([route for route in routes if isinstance(route, APIRoute)])
    schemas = document.get("components", {}).get("schemas", {})
    return [
        (method.upper(), path, operation, schemas)
        for path, item in sorted(document["paths"].items())
        for method, operation in item.items()
        if not path.startswith("/twilio/")
    ]


def filled(path: str, **values: str) -> str:
    for name in [part.split("}")[0] for part in path.split("{")[1:]]:
        path = path.replace(f"{{{name}}}", quote(values.get(name, PATHS.get(name, "1")), safe=""))
    return path


class Values:
    """The values for each parameter and field: all for the first route that has a text or number, few for later ones.

    What is an object, a list, a choice or a flag is read by one library in the same way everywhere, and gets few.
    """

    def __init__(self, first: tuple[Any, ...], again: tuple[Any, ...]) -> None:
        self._first = first
        self._again = again
        self._had = {"object", "array", "boolean", "choice"}

    def of(self, place: str, name: str, schema: dict[str, Any]) -> tuple[Any, ...]:
        kind = "choice" if "enum" in schema else schema.get("type", "")
        if kind in ("string", "integer", "number", ""):
            rules = {rule: value for rule, value in schema.items() if rule not in SAID_ABOUT_IT}
            kind = json.dumps([place, name, rules], sort_keys=True)
        values = self._again if kind in self._had else self._first
        self._had.add(kind)
        return values


def parameters(operation: dict[str, Any], place: str) -> list[dict[str, Any]]:
    return [one for one in operation.get("parameters", []) if one["in"] == place]


def body_schema(operation: dict[str, Any], kind: str) -> dict[str, Any] | None:
    content = operation.get("requestBody", {}).get("content", {})
    return content[kind]["schema"] if kind in content else None


def fields(operation: dict[str, Any], schemas: dict[str, Any], kind: str) -> dict[str, Any]:
    """The fields of a body by name, with a plausible value each."""
    if (schema := body_schema(operation, kind)) is None:
        return {}
    schema = schemas[
        schema.get("anyOf", [schema])[0]["$ref"].rpartition("/")[2]
    ]  # an optional body has `anyOf`
    return {name: plausible(one, schemas) for name, one in schema["properties"].items()}


def plausible(schema: dict[str, Any], schemas: dict[str, Any]) -> Any:
    if "anyOf" in schema:
        return plausible(schema["anyOf"][0], schemas)
    if "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("type") == "object":
        return {name: plausible(one, schemas) for name, one in schema["properties"].items()}
    if schema.get("type") == "array":
        return [plausible(schema["items"], schemas)]
    return {"string": "+12125550123", "integer": 1, "number": 1.0, "boolean": False}[schema["type"]]


def variants(
    body: Any, schema: dict[str, Any], schemas: dict[str, Any], values: Values, name: str = ""
) -> Iterator[Any]:
    """`body` with one of its leaves replaced at a time. `schema` describes it, `name` is its field."""
    while "anyOf" in schema or "$ref" in schema:
        schema = schema["anyOf"][0] if "anyOf" in schema else schemas[schema["$ref"].rpartition("/")[2]]
    if isinstance(body, dict):
        for field, inner in body.items():
            for changed in variants(inner, schema["properties"][field], schemas, values, field):
                yield {**body, field: changed}
        yield {**body, "\ud83d": 1}
    elif isinstance(body, list):
        for changed in variants(body[0], schema["items"], schemas, values, name):
            yield [changed]
    yield from values.of("body", name, schema)


def test_no_path_or_query_value_is_a_server_error(send: Send, texts: tuple[str, ...]) -> None:
    values = Values(texts, AGAIN)
    for method, path, operation, _ in operations():
        for one in parameters(operation, "path"):
            for value in values.of(one["in"], one["name"], one["schema"]):
                if value not in ("", ".."):
                    send(method, filled(path, **{one["name"]: value[:300]}))
        for one in parameters(operation, "query"):
            for value in values.of(one["in"], one["name"], one["schema"]):
                send(method, filled(path), params={one["name"]: value})


def test_no_body_value_is_a_server_error(send: Send, texts: tuple[str, ...]) -> None:
    headers = {"Content-Type": "application/json"}
    others = OTHER_VALUES if texts is TEXTS else NUMBERS  # others are read before the database sees them
    values = Values((*texts, *others), (*AGAIN, *OTHERS_AGAIN))
    for method, path, operation, schemas in operations():
        schema = body_schema(operation, "application/json")
        if schema is None:
            continue
        body = fields(operation, schemas, "application/json")
        for changed in variants(body, schema, schemas, values):
            send(method, filled(path), content=json.dumps(changed), headers=headers)


def test_no_form_value_is_a_server_error(send: Send, texts: tuple[str, ...]) -> None:
    for method, path, operation, schemas in operations():
        form = fields(operation, schemas, "application/x-www-form-urlencoded")
        for name in form:
            for value in texts:
                send(method, filled(path), data={**form, name: value})


@pytest.mark.parametrize("path", ROUTES)
def test_no_webhook_value_is_a_server_error(send: Send, path: str) -> None:
    for name in [*ROUTES[path], "Extra", "Language"]:
        for value in TEXTS:
            form = {**ROUTES[path], name: value}
            send("POST", path, data=form, headers=signed(path, form))


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("DELETE", f"/api/v1/calls/{DONE}/notes/{'9' * 23}", None),
        ("PATCH", f"/api/v1/calls/{DONE}/notes/{'9' * 23}", {"text": "x"}),
        ("DELETE", f"/api/v1/technicians/{'9' * 23}", None),
        ("PATCH", f"/api/v1/people/{'9' * 23}", {"role": "agent"}),
        ("PUT", "/api/v1/vocabulary", {"phrases": ["\ud83d"]}),
        ("POST", f"/api/v1/calls/{DONE}/notes", {"kind": "note", "at_ms": 1, "text": "a\0b"}),
        ("POST", f"/api/v1/calls/{DONE}/revisions", {"base": 0, "changes": [{"turn": 0, "text": "a\0b"}]}),
        ("PUT", f"/api/v1/calls/{DONE}/hold", {"reason": "a\0b"}),
        ("GET", "/calls/a%00b", None),
        ("GET", "/api/v1/calls?number=a%00b", None),
        ("GET", "/api/v1/calls?before=9999-12-31T23:59:59-23:59", None),
        ("GET", "/api/v1/calls?before=0001-01-01T00:00:00%2B23:59", None),
    ],
)
def test_values_that_cannot_be_stored_are_refused(send: Send, method: str, path: str, body: object) -> None:
    content = None if body is None else json.dumps(body)
    answer = send(method, path, content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == (404 if "%00" in path.partition("?")[0] else 422)
    assert set(answer.json()["error"]) == {"code", "message"}


@pytest.mark.parametrize("from_", ["+266696687", "Restricted", ""])
def test_withheld_caller_is_shown_as_withheld_and_never_recent(send: Send, place: Seed, from_: str) -> None:
    sid = "CA" + str(abs(hash(from_))).zfill(32)[:32]
    form = {**ROUTES["/twilio/voice"], "CallSid": sid, "From": from_, "To": "+12125550100"}
    assert send("POST", "/twilio/voice", data=form, headers=signed("/twilio/voice", form)).status_code == 200
    (call,) = [one for one in send("GET", "/api/v1/calls").json()["calls"] if one["call_sid"] == sid]
    assert (call["direction"], call["number"]) == ("incoming", WITHHELD)
    page = send("GET", f"/calls/{call['call_id']}", headers={"Accept": "text/html"}).text
    assert "Withheld number" in page and "266" not in page.partition("</h1>")[0].partition("<h1>")[2]
    assert WITHHELD not in [row["number"] for row in send("GET", "/api/v1/technicians").json()["recent"]]
    for raw in (WITHHELD, "+266696687"):
        assert send("POST", "/api/v1/numbers", json={"raw": raw}).json()["valid"] is False
