"""`callreel redact`, `retention` and `subject` as command lines, with what the audit trail has of them."""

import json
import shutil
import stat
import zipfile
from pathlib import Path

import pytest

from callreel.domain.call import Role
from callreel.domain.ids import CallId
from callreel.store.calls import erasures, holds, layers
from callreel.store.transcripts import redactions, revisions
from tests.support.program import callreel_each
from tests.support.seed import ABSENT, DONE, NOON, NUMBER, Seed, open_seed, seed
from tests.support.spoken_card import say_card

HELD = ABSENT


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("privacy")
    place = seed(folder)
    say_card(place)
    with place.database.write() as conn:
        holds.add(conn, HELD, "case 17", "sam", NOON)
    place.database.close()
    return folder


@pytest.fixture
def folder(seeded: Path, tmp_path: Path) -> Path:
    shutil.copytree(seeded, tmp_path, dirs_exist_ok=True)
    return tmp_path


def settings(folder: Path, **more: str) -> dict[str, str]:
    return {
        "CALLREEL_DATA_DIR": str(folder / "data"),
        "CALLREEL_DATABASE_URL": f"sqlite:///{folder / 'callreel.db'}",
        **more,
    }


def stored_redactions(place: Seed) -> list[tuple[str, str]]:
    with place.database.read() as conn:
        return [(row.stretch.role, row.stretch.entity) for row in redactions.of_call(conn, DONE)]


def test_redact_masks_once_and_is_in_the_audit_trail(folder: Path) -> None:
    [refused, preview] = callreel_each(
        ["redact"], ["redact", "--dry-run"], folder=folder, extra=settings(folder)
    )
    assert refused == (2, "", "callreel: CALLREEL_REDACTION is off; set it to keep_both or redacted_only\n")
    assert preview[0] == 0 and f"{DONE}\t1 new redactions" in preview[1]
    place = open_seed(folder)
    assert stored_redactions(place) == []
    unknown = "f" * 12
    [redacted, repeated, again, missing, trail] = callreel_each(
        ["redact"], ["redact"], ["redact", DONE, "--again"], ["redact", unknown], ["audit", "export"],
        folder=folder, extra=settings(folder, CALLREEL_REDACTION="keep_both"),
    )  # fmt: skip
    lines = redacted[1].splitlines()
    assert redacted[0] == 0 and f"{DONE}\t1 new redactions" in lines
    assert lines[-1] == f"callreel: {len(lines) - 1} calls redacted, none failed"
    assert repeated[1] == "callreel: 0 calls redacted, none failed\n"
    assert again[1].splitlines() == [f"{DONE}\t0 new redactions", "callreel: 1 calls redacted, none failed"]
    assert missing[0] == 2 and missing[2].startswith(f"callreel: there is no call {unknown}")
    assert stored_redactions(place) == [(Role.TECHNICIAN, "card_number")]
    place.database.close()
    [entry] = json.loads(trail[1])["entries"]
    assert (entry["action"], entry["via"], entry["call_id"]) == ("redacted", "command_line", DONE)
    assert entry["details"] == {"redactions": 1}


def test_retention_lists_what_goes_and_deletes_nothing(folder: Path) -> None:
    rules = ["--rules", "verdict=verified audio=30"]
    [due, early, wrong, deleted] = callreel_each(
        ["retention", *rules, "--days", "3650"], ["retention", "--rules", "call=3650"],
        ["retention", "--rules", "colour=blue call=1"], ["retention", "--deleted"],
        folder=folder, extra=settings(folder),
    )  # fmt: skip
    assert due[0] == 0 and f"\t{DONE}\taudio\trule 1: audio=30" in due[1]
    assert due[1].splitlines()[-1] == "callreel: 1 deletions are due"
    assert early[:2] == (0, "callreel: nothing is due\n")
    assert wrong[0] == 2 and "colour" in wrong[2] and wrong[2].count("\n") == 1
    assert deleted[:2] == (0, "callreel: 0 deletions by retention policies\n")
    place = open_seed(folder)
    with place.database.read() as conn:
        assert revisions.shown(conn, DONE) is not None and layers.of_call(conn, DONE)
    place.database.close()


def test_subject_is_exported_and_erased_but_for_a_hold(folder: Path) -> None:
    archive = folder / "request.zip"
    export = ["subject", "export", NUMBER, "--to", str(archive)]
    [exported, refused, no_number, unconfirmed, erased, trail] = callreel_each(
        export, export, ["subject", "erase", "12 ab", "--yes"], ["subject", "erase", NUMBER],
        ["subject", "erase", NUMBER, "--yes", "--by", "kim", "--reason", "ticket 4711"], ["audit", "export"],
        folder=folder, extra=settings(folder, CALLREEL_REDACTION="keep_both"),
    )  # fmt: skip
    assert exported[0] == 0 and exported[1].endswith(f" calls written to {archive}\n")
    assert refused[0] == 2 and "exists" in refused[2]
    assert no_number[0] == 2 and "+12125550123" in no_number[2]
    assert unconfirmed[0] != 0
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    with zipfile.ZipFile(archive) as read:
        found = [CallId(one) for one in json.loads(read.read("calls.json"))]
        assert {DONE, HELD} <= set(found) and f"{DONE}/call.json" in read.namelist()
        assert any(name.startswith(f"{DONE}/") and name.endswith(".wav") for name in read.namelist())
    assert erased[0] == 1 and f"{HELD}\tkept: " in erased[1]
    place = open_seed(folder)
    with place.database.read() as conn:
        ordered = {call_id for call_id in found if erasures.get(conn, call_id) is not None}
    place.database.close()
    assert ordered and HELD not in ordered
    assert f"erasure of {len(ordered)} calls ordered, {len(found) - len(ordered)} kept" in erased[1]
    entries = json.loads(trail[1])["entries"]
    assert [(one["action"], one["actor"], one["reason"]) for one in entries] == [
        ("exported", "command line", ""), ("erasure_ordered", "kim", "ticket 4711"),
    ]  # fmt: skip
    assert all(one["details"]["calls"] == found for one in entries) and NUMBER not in trail[1]
