from pathlib import Path

from callreel.domain.errors import StoreError
from callreel.ops.health import Check, Health, check_runs, disk_space_check
from tests.support.installation import NOON, SteppedClock


def test_problem_has_its_first_time_and_ends_with_the_check() -> None:
    clock, wrong = SteppedClock(), [False]

    def refuse() -> None:
        if wrong[0]:
            raise StoreError("the database is locked")

    health = Health(clock, {"database": check_runs(refuse), "other": check_runs(lambda: None)})
    health.run_checks()
    assert health.problems() == []
    wrong[0] = True
    health.run_checks()
    clock.step(10)
    health.run_checks()
    (problem,) = health.problems()
    assert (problem.name, problem.what, problem.since) == ("database", "the database is locked", NOON)
    wrong[0] = False
    health.run_checks()
    assert health.problems() == []


def test_hanging_check_is_a_problem() -> None:
    clock = SteppedClock()
    health = Health(clock, {})
    clock.step(29)
    assert health.problems() == []
    clock.step(2)
    assert [problem.name for problem in health.problems()] == ["checks"]


def test_low_disk_space_is_reported_with_numbers() -> None:
    check: Check = disk_space_check(lambda: 100 << 20, 512 << 20)
    assert check() == "100 MiB are free on the disk of the data folder, fewer than 512 MiB"
    assert disk_space_check(lambda: 512 << 20, 512 << 20)() is None


def test_missing_folder_is_a_problem(tmp_path: Path) -> None:
    health = Health(SteppedClock(), {"folder": check_runs(lambda: (tmp_path / "gone" / "file").touch())})
    health.run_checks()
    assert [problem.name for problem in health.problems()] == ["folder"]
