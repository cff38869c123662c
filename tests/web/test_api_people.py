"""People, sessions and tokens by the API, and the link for the first administrator."""

from datetime import timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from callreel.domain.access import UserRole
from callreel.runtime.clock import Clock
from callreel.runtime.secret_tokens import token_hash
from callreel.store.db.tables import api_tokens, welcome_tokens
from callreel.store.db.tables import users as user_table
from callreel.store.people import users
from callreel.web.app import WebOptions
from callreel.web.auth.signin import COOKIE
from callreel.web.auth.welcome import first_link
from tests.support.seed import DONE, NOON, Seed
from tests.web.conftest import PASSWORD, As, MakeApp, enter


def test_own_account_lists_role_and_rights(signed_in: As, demo: TestClient) -> None:
    maria = signed_in("maria").get("/api/v1/people/me").json()
    assert (maria["name"], maria["role"], maria["identity"], maria["demo"]) == (
        "maria",
        "agent",
        "maria",
        False,
    )
    assert maria["can"] == ["calls:place", "calls:read", "calls:write", "tokens:write"]
    assert "people:write" in signed_in("ada").get("/api/v1/people/me").json()["can"]
    everybody = demo.get("/api/v1/people/me").json()
    assert (everybody["name"], everybody["role"], everybody["demo"]) == ("demo", "administrator", True)


def test_administrator_manages_accounts(signed_in: As, stranger: TestClient) -> None:
    ada = signed_in("ada")
    made = ada.post("/api/v1/people", json={"name": "Zoë R.", "password": PASSWORD, "role": "agent"})
    assert made.status_code == 201
    person = made.json()
    assert (person["name"], person["identity"], person["disabled"]) == ("Zoë R.", "Zoe_R_", False)
    form = {"name": "Zoë R.", "password": PASSWORD}
    assert stranger.post("/sign-in", data=form).status_code == 303
    assert stranger.get("/api/v1/calls").status_code == 200
    changed = ada.patch(f"/api/v1/people/{person['id']}", json={"role": "supervisor", "disabled": True})
    assert (changed.json()["role"], changed.json()["disabled"]) == ("supervisor", True)
    assert stranger.get("/api/v1/calls").status_code == 401
    assert stranger.post("/sign-in", data=form).status_code == 401
    listed = {row["name"] for row in ada.get("/api/v1/people").json()["people"]}
    assert listed == {"ada", "sam", "maria", "zoe", "Zoë R."}
    assert "argon2" not in ada.get("/api/v1/people").text


def test_new_password_ends_sessions(signed_in: As) -> None:
    ada, maria = signed_in("ada"), signed_in("maria")
    people = {row["name"]: row["id"] for row in ada.get("/api/v1/people").json()["people"]}
    changed = ada.patch(f"/api/v1/people/{people['maria']}", json={"password": "another long one"})
    assert changed.status_code == 200
    assert maria.get("/api/v1/calls").status_code == 401


def test_last_administrator_cannot_be_disabled(signed_in: As) -> None:
    ada = signed_in("ada")
    me = ada.get("/api/v1/people/me").json()["id"]
    for change in ({"role": "agent"}, {"disabled": True}):
        assert ada.patch(f"/api/v1/people/{me}", json=change).status_code == 409
    assert ada.get("/api/v1/people").status_code == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": "ada", "password": PASSWORD}, 409),
        ({"name": "kim", "password": "short"}, 422),
        ({"name": " kim", "password": PASSWORD}, 422),
        ({"name": "", "password": PASSWORD}, 422),
        ({"name": "k" * 101, "password": PASSWORD}, 422),
        ({"name": "kim", "password": PASSWORD, "role": "king"}, 422),
    ],
)
def test_invalid_accounts_are_refused(ada: TestClient, body: dict[str, str], status: int) -> None:
    answer = ada.post("/api/v1/people", json=body)
    assert answer.status_code == status
    assert body["password"] not in answer.text
    assert ada.patch("/api/v1/people/999", json={}).status_code == 404


def test_sign_out_everywhere(make_app: MakeApp, place: Seed) -> None:
    app = make_app(WebOptions())
    here, there, other = (TestClient(app, base_url="https://calls.example") for _ in range(3))
    enter(here, place, "maria"), enter(there, place, "maria"), enter(other, place, "sam")
    assert here.post("/api/v1/people/me/sign-out-everywhere").status_code == 204
    assert [browser.get("/api/v1/calls").status_code for browser in (here, there, other)] == [401, 401, 200]


def test_changing_ones_password_ends_other_sessions(make_app: MakeApp, place: Seed) -> None:
    app = make_app(WebOptions())
    here, there = (TestClient(app, base_url="https://calls.example") for _ in range(2))
    enter(here, place, "maria"), enter(there, place, "maria")
    before = here.cookies.get(COOKIE)
    new = "another horse battery"
    for current, wanted in (("wrong horse battery", 422), (PASSWORD, 204)):
        body = {"current": current, "new": new}
        assert here.post("/api/v1/people/me/password", json=body).status_code == wanted
    assert [browser.get("/api/v1/calls").status_code for browser in (here, there)] == [200, 401]
    assert here.cookies.get(COOKIE) != before
    assert here.post("/api/v1/people/me/password", json={"current": new, "new": "short"}).status_code == 422
    fresh = TestClient(app, base_url="https://calls.example", follow_redirects=False)
    for password, status in ((PASSWORD, 401), (new, 303)):
        assert fresh.post("/sign-in", data={"name": "maria", "password": password}).status_code == status


def test_guesses_of_the_current_password_are_limited(signed_in: As) -> None:
    maria = signed_in("maria")
    body = {"current": "wrong horse battery", "new": "another horse battery"}
    answers = [maria.post("/api/v1/people/me/password", json=body) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [422] * 5 + [429]
    assert int(answers[-1].headers["retry-after"]) > 0
    assert answers[-1].json()["error"]["code"] == "too_many"


def test_a_token_is_shown_once_and_stored_as_its_hash(
    signed_in: As, stranger: TestClient, place: Seed
) -> None:
    maria = signed_in("maria")
    made = maria.post("/api/v1/tokens", json={"name": "report", "scopes": ["calls:read"]}).json()
    token = made.pop("token")
    assert token.startswith("crt_")
    assert maria.get("/api/v1/tokens").json() == {"tokens": [made]}
    assert made["expires_at"] is not None and made["last_used_at"] is None
    with place.database.read() as conn:
        assert conn.execute(select(api_tokens.c.token_hash)).scalars().all() == [token_hash(token)]
    header = {"Authorization": f"Bearer {token}"}
    assert stranger.get(f"/api/v1/calls/{DONE}", headers=header).status_code == 200
    assert maria.get("/api/v1/tokens").json()["tokens"][0]["last_used_at"] is not None
    assert signed_in("sam").delete(f"/api/v1/tokens/{made['id']}").status_code == 404
    assert maria.delete(f"/api/v1/tokens/{made['id']}").status_code == 204
    assert stranger.get("/api/v1/calls", headers=header).status_code == 401


def test_invalid_token_requests_are_refused(ada: TestClient, demo: TestClient) -> None:
    for body in (
        {"name": "x", "scopes": []},
        {"name": "x", "scopes": ["all"]},
        {"name": "", "scopes": ["calls:read"]},
        {"name": "x", "scopes": ["calls:read"], "days": 0},
    ):
        assert ada.post("/api/v1/tokens", json=body).status_code == 422
    assert demo.post("/api/v1/tokens", json={"name": "x", "scopes": ["calls:read"]}).status_code == 403


@pytest.fixture
def new_server(make_app: MakeApp, place: Seed) -> TestClient:
    """A browser of a server without users."""
    with place.database.write() as conn:
        conn.execute(user_table.delete())
    return TestClient(make_app(WebOptions()), base_url="https://calls.example", follow_redirects=False)


def test_welcome_link_creates_the_first_administrator(new_server: TestClient, place: Seed) -> None:
    link = first_link(place.database, Clock(), "https://calls.example")
    assert link is not None
    page = new_server.get(link)
    assert page.status_code == 200
    token = link.partition("token=")[2]
    assert f'value="{token}"' in page.text
    with place.database.read() as conn:
        assert token not in conn.execute(select(welcome_tokens.c.token_hash)).scalars().all()
    form = {"token": token, "name": " grace ", "password": "short"}
    assert "10 to 1000" in new_server.post("/welcome", data=form).text
    arrived = new_server.post("/welcome", data={**form, "password": PASSWORD})
    assert (arrived.status_code, arrived.headers["location"]) == (303, "/")
    assert new_server.cookies[COOKIE]
    assert new_server.get("/api/v1/people/me").json()["role"] == "administrator"
    assert new_server.get("/api/v1/people/me").json()["name"] == "grace"
    new_server.cookies.clear()
    for again in (new_server.get(link), new_server.post("/welcome", data={**form, "password": PASSWORD})):
        assert again.status_code == 404
        assert "already used" in again.text
    assert first_link(place.database, Clock(), "https://calls.example") is None


def test_welcome_link_expires_and_is_replaced_by_the_next(new_server: TestClient, place: Seed) -> None:
    old, new = (first_link(place.database, Clock(), "https://calls.example") for _ in range(2))
    assert old and new
    assert new_server.get(old).status_code == 404
    assert new_server.get(new).status_code == 200
    with place.database.write() as conn:
        conn.execute(welcome_tokens.update().values(expires_at=NOON - timedelta(days=1)))
    assert new_server.get(new).status_code == 404


def test_welcome_link_is_invalid_once_an_account_exists(new_server: TestClient, place: Seed) -> None:
    link = first_link(place.database, Clock(), "https://calls.example")
    assert link
    with place.database.write() as conn:
        users.add(conn, "kim", "hash", UserRole.AGENT, NOON)
    assert new_server.get(link).status_code == 404
    form = {"token": link.partition("token=")[2], "name": "eve", "password": PASSWORD}
    assert new_server.post("/welcome", data=form).status_code == 404


def test_guesses_of_welcome_links_are_limited(new_server: TestClient) -> None:
    answers = [new_server.get("/welcome?token=guess").status_code for _ in range(21)]
    assert answers == [404] * 20 + [429]
