from callreel.store.db.database import Database
from callreel.store.people import technicians
from callreel.store.transcripts import vocabulary
from tests.support.rows import NOON


def test_remaining_phrases_keep_their_author(database: Database) -> None:
    with database.write() as conn:
        vocabulary.replace(conn, ["valve", "boiler", "valve"], "ada", NOON)
        rows = vocabulary.replace(conn, ["valve", "stopcock"], "sam", NOON)
    assert [(row.phrase, row.added_by) for row in rows] == [("stopcock", "sam"), ("valve", "ada")]


def test_hints_are_settings_vocabulary_and_names_each_once(
    database: Database,
) -> None:
    with database.write() as conn:
        technicians.add(conn, "Ada  Byron", "+12125550123", NOON)
        technicians.add(conn, "VALVE", "+12125550124", NOON)
        vocabulary.replace(conn, ["valve"], "ada", NOON)
        assert vocabulary.hints(conn, ["Vaillant"]) == ["Vaillant", "valve", "Ada Byron"]
