import pytest

from callreel.domain.ids import CallId, LegSid
from callreel.store.db.database import Database
from callreel.store.people import technicians
from tests.support.rows import NOON, a_call, after


def test_number_has_one_name(database: Database) -> None:
    with database.write() as conn:
        roof = technicians.add(conn, "Roof", "+15550100123", NOON)
        cellar = technicians.add(conn, "Cellar", "+15550100124", NOON)
        assert technicians.all_technicians(conn) == [cellar, roof]
        with pytest.raises(technicians.TakenError):
            technicians.add(conn, "Again", roof.number, NOON)
        with pytest.raises(technicians.TakenError):
            technicians.change(conn, cellar.id, number=roof.number)
        same = technicians.change(conn, roof.id, name="Attic", number=roof.number)
        assert same is not None and same.name == "Attic"
        assert technicians.change(conn, 999, name="x") is None
        assert technicians.remove(conn, roof.id)
        assert not technicians.remove(conn, roof.id)
    assert roof.number not in repr(roof)


def test_recent_numbers_are_unique(database: Database) -> None:
    said = (("+15550100001", "ada"), ("+15550100002", "ben"), ("+15550100001", "ada"), ("client:x", "ada"))
    for n, (number, agent) in enumerate(said):
        a_call(
            database, id=CallId(f"{n:012}"), leg_sid=LegSid(f"CA{n:032}"), created_at=after(n),
            remote_number=number, agent=agent,
        )  # fmt: skip
    with database.read() as conn:
        assert technicians.recent_numbers(conn, None, 5) == [(said[0][0], after(2)), (said[1][0], after(1))]
        assert technicians.recent_numbers(conn, None, 1) == [(said[0][0], after(2))]
        assert technicians.recent_numbers(conn, "ben", 5) == [(said[1][0], after(1))]
