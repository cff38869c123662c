"""Master keys and data keys: sources, wrapping, rotation, and clear errors for a missing or wrong key."""

import stat
from pathlib import Path

import pytest

from callreel.domain.errors import EncryptionKeyError
from callreel.store.db.database import Database
from callreel.store.encryption.keyring import Keyring, Purpose, all_keys, require_none
from callreel.store.encryption.master_keys import MasterKeys, new_master_key, parse, read_command, read_file
from tests.support.encryption import MASTER, OTHER_MASTER

both = pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)


def keyring(database: Database, text: str) -> Keyring:
    opened = Keyring(database, MasterKeys(lambda: text))
    opened.load()
    return opened


def masters_in_use(database: Database) -> set[str]:
    with database.read() as conn:
        return {row.master_key for row in all_keys(conn)}


@both
def test_data_keys_are_made_once_and_shared_by_processes(database: Database) -> None:
    require_none(database)
    first, second = keyring(database, MASTER), keyring(database, MASTER)
    for purpose in Purpose:
        assert first.current(purpose) == second.current(purpose)
    with database.read() as conn:
        rows = all_keys(conn)
    assert len(rows) == len(Purpose) and {row.master_key for row in rows} == {"2026a"}
    secrets = [key for purpose in Purpose for key in [first.current(purpose)[1]]]
    assert len({*secrets}) == 4 and not any(row.wrapped.encode() in secrets for row in rows)


@both
def test_rotation_wraps_old_keys_and_begins_new_ones(database: Database) -> None:
    running = keyring(database, MASTER)
    old_file, old_lookup = running.current(Purpose.FILE), running.current(Purpose.LOOKUP)
    assert keyring(database, f"{OTHER_MASTER},{MASTER}").rotate() == 4
    assert masters_in_use(database) == {"2026b"}
    after = keyring(database, OTHER_MASTER)
    assert after.key(old_file[0]) == old_file[1]
    assert after.current(Purpose.LOOKUP) == old_lookup
    assert after.current(Purpose.FILE)[0] != old_file[0]
    assert after.rotate() == 0


@both
def test_running_process_opens_a_key_made_by_a_rotation(database: Database, tmp_path: Path) -> None:
    """Its file of master keys is read again when it meets the new master key."""
    path = tmp_path / "keys"
    path.write_text(f"# current\n{MASTER}\n")
    running = Keyring(database, MasterKeys(lambda: read_file(path)))
    running.load()
    path.write_text(f"{OTHER_MASTER}\n{MASTER}\n")
    rotated = keyring(database, path.read_text())
    rotated.rotate()
    new_id, new_key = rotated.current(Purpose.FILE)
    assert running.key(new_id) == new_key


@both
def test_missing_wrong_and_unset_master_keys_are_clear_errors(database: Database) -> None:
    keyring(database, MASTER)
    with pytest.raises(
        EncryptionKeyError, match="master key 2026a, which is not configured .configured: 2026b."
    ):
        keyring(database, OTHER_MASTER)
    impostor = MASTER.partition("=")[0] + "=" + OTHER_MASTER.partition("=")[2]
    with pytest.raises(EncryptionKeyError, match="master key 2026a is not the key"):
        keyring(database, impostor)
    with pytest.raises(EncryptionKeyError, match="encrypted with master key 2026a, but none is configured"):
        require_none(database)
    with pytest.raises(EncryptionKeyError, match="data key 99 is not in the database"):
        keyring(database, MASTER).key(99)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "there is no master key"),
        ("# only a comment\n", "there is no master key"),
        ("a=short", "master key 1 should be id=base64 of 32 bytes"),
        (f"{MASTER},second", "master key 2 should be"),
        (f"a b={MASTER.partition('=')[2]}", "master key 1 should be"),
        (f"{MASTER}\n{MASTER}", "two master keys have the same id"),
    ],
)
def test_malformed_master_keys_are_refused_without_showing_them(text: str, expected: str) -> None:
    with pytest.raises(EncryptionKeyError, match=expected) as refused:
        parse(text)
    assert not any(part in str(refused.value) for part in text.split("=")[1:] if len(part) > 3)


def test_master_keys_come_from_a_command(tmp_path: Path) -> None:
    command = tmp_path / "fetch-key"
    command.write_text(f"#!/bin/sh\ntest \"$1\" = prod && echo '{MASTER}' || {{ echo secret; exit 3; }}\n")
    command.chmod(stat.S_IRWXU)
    assert MasterKeys(lambda: read_command(f"{command} prod")).current == "2026a"
    with pytest.raises(EncryptionKeyError, match="failed with exit status 3$"):
        read_command(f"{command} test")
    for broken in (str(tmp_path / "none"), "'", ""):
        with pytest.raises(EncryptionKeyError, match="the command for the master keys failed"):
            read_command(broken)
    with pytest.raises(EncryptionKeyError, match="cannot be read: No such file"):
        read_file(tmp_path / "none")


def test_new_master_key_is_usable() -> None:
    assert parse(f"{new_master_key('2027')}\n{MASTER}")[0].id == "2027"
    with pytest.raises(EncryptionKeyError, match="1 to 64 letters"):
        new_master_key("a=b")
