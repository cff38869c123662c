"""Sessions: their list and end, one's own and all; idle sessions; what counts as use."""

from datetime import UTC, datetime, timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update

from callreel.store.db.tables import sessions
from callreel.store.people import sessions as session_rows
from callreel.web.app import WebOptions
from tests.support.seed import Seed
from tests.web.conftest import PASSWORD, As, MakeApp, enter


def test_people_end_own_sessions_only(signed_in: As, place: Seed) -> None:
    maria, zoe = signed_in("maria"), signed_in("zoe")
    with place.database.read() as conn:
        ids = {row.name: row.id for row in session_rows.all_open(conn, datetime.now(UTC))}
    page = maria.get("/me").text
    assert "(this session)" in page and "zoe" not in page
    assert maria.post(f"/me/sessions/{ids['zoe']}/end").status_code == 404
    assert zoe.get("/api/v1/people/me").status_code == 200
    assert zoe.post(f"/me/sessions/{ids['zoe']}/end").status_code == 303
    assert zoe.get("/api/v1/people/me").status_code == 401


def test_administrators_end_all_sessions(signed_in: As, place: Seed) -> None:
    ada, sam = signed_in("ada"), signed_in("sam")
    with place.database.read() as conn:
        ids = {row.name: row.id for row in session_rows.all_open(conn, datetime.now(UTC))}
    assert "<strong>sam</strong>" in ada.get("/sessions").text
    assert sam.get("/sessions").status_code == sam.post(f"/sessions/{ids['ada']}/end").status_code == 403
    assert ada.post(f"/sessions/{ids['sam']}/end").status_code == 303
    assert sam.get("/api/v1/people/me").status_code == 401
    assert ada.post("/sessions/999/end").status_code == 404


@pytest.mark.parametrize(("idle_s", "status"), [(60.0, 401), (None, 200)])
def test_idle_session_is_signed_out(
    make_app: MakeApp, place: Seed, idle_s: float | None, status: int
) -> None:
    app = make_app(WebOptions(session_idle_s=idle_s))
    ada = enter(TestClient(app, base_url="https://calls.example"), place, "ada")
    long_ago = datetime.now(UTC) - timedelta(seconds=90)
    with place.database.write() as conn:
        conn.execute(update(sessions).values(last_seen_at=long_ago))
    assert ada.get("/api/v1/people/me").status_code == status
    with place.database.read() as conn:
        [row] = session_rows.all_open(conn, datetime.now(UTC))
    assert (row.last_seen_at > long_ago) is (status == 200)  # the request counts as use


def test_sign_in_stores_address_and_device(stranger: TestClient, place: Seed) -> None:
    data = {"name": "ada", "password": PASSWORD}
    assert (
        stranger.post("/sign-in", data=data, headers={"User-Agent": "Firefox/1" + "0" * 300}).status_code
        == 303
    )
    with place.database.read() as conn:
        [row] = session_rows.all_open(conn, datetime.now(UTC))
    assert row.address == "testclient" and row.device.startswith("Firefox/1") and len(row.device) == 200


def test_every_session_stores_a_device_that_databases_accept(signed_in: As, place: Seed) -> None:
    ada = signed_in("ada")
    change = {"current": PASSWORD, "new": PASSWORD + "2"}
    answer = ada.post("/api/v1/people/me/password", json=change, headers={"User-Agent": "Fire\0fox"})
    assert answer.status_code == 204
    with place.database.read() as conn:
        assert [row.device for row in session_rows.all_open(conn, datetime.now(UTC))] == ["Firefox"]
