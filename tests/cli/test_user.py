"""User accounts on the command line."""

from pathlib import Path

from callreel.store.audit import trail
from callreel.store.db.database import Database
from callreel.store.people import second_factors, users
from callreel.web.auth.passwords import verify_password
from tests.support.program import callreel, the_line


def test_account_is_added_with_a_hashed_password_and_listed(tmp_path: Path) -> None:
    run = callreel("user", "add", "kim", "--password-stdin", folder=tmp_path, stdin="correct horse\n")
    assert run.returncode == 0
    assert run.stdout == "callreel: added kim with role administrator; client identity at the carrier: kim\n"
    database = Database.open(f"sqlite:///{tmp_path}/callreel-data/app.db")
    with database.read() as conn:
        row = users.get_by_name(conn, "kim")
    database.close()
    assert row is not None
    assert verify_password(row.password_hash, "correct horse")
    assert callreel("user", "list", folder=tmp_path).stdout.startswith("kim\tadministrator\tactive\tsince 20")
    assert "kim has no second factor" in the_line(
        callreel("user", "reset-second-factor", "kim", folder=tmp_path)
    )
    database = Database.open(f"sqlite:///{tmp_path}/callreel-data/app.db")
    with database.write() as conn:
        second_factors.start(conn, row.id, "SECRET")
    assert callreel("user", "reset-second-factor", "kim", folder=tmp_path).returncode == 0
    with database.read() as conn:
        assert second_factors.of_any_state(conn, row.id) is None
        assert [entry.action for entry in trail.entries(conn)] == ["person_added", "second_factor_reset"]
    database.close()


def test_first_account_is_administrator_others_have_their_role(tmp_path: Path) -> None:
    for name, options, role in (
        ("kim", (), "administrator"),
        ("robin q", (), "agent"),
        ("sam", ("--role", "supervisor"), "supervisor"),
    ):
        run = callreel(
            "user", "add", name, *options, "--password-stdin", folder=tmp_path, stdin="correct horse\n"
        )
        assert f"added {name} with role {role}" in run.stdout
    assert "robin q\tagent" in (listed := callreel("user", "list", folder=tmp_path).stdout)
    assert listed.splitlines()[1].endswith("\trobin_q")


def test_duplicate_user_name_is_reported_in_one_line(tmp_path: Path) -> None:
    for _ in range(2):
        run = callreel("user", "add", "kim", "--password-stdin", folder=tmp_path, stdin="correct horse\n")
    assert "taken" in the_line(run)


def test_short_password_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    line = the_line(callreel("user", "add", "kim", "--password-stdin", folder=tmp_path, stdin="short\n"))
    assert "short" not in line.replace("characters", "")
    assert list(tmp_path.iterdir()) == []


def test_no_password_prompt_without_a_terminal(tmp_path: Path) -> None:
    assert "--password-stdin" in the_line(callreel("user", "add", "kim", folder=tmp_path))
