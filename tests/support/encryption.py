"""Keys for tests, and a search for plain bytes in a folder."""

import base64
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from callreel.domain.errors import EncryptionKeyError
from callreel.store.db.database import Database
from callreel.store.encryption.keyring import Keyring
from callreel.store.encryption.master_keys import MasterKeys

T = TypeVar("T")

MASTER = "2026a=" + base64.b64encode(b"a" * 32).decode()
OTHER_MASTER = "2026b=" + base64.b64encode(b"b" * 32).decode()


class Keys:
    """Data keys of files in memory; `sealed_file.FileKeys`."""

    def __init__(self) -> None:
        self.keys = {7: AESGCM.generate_key(256)}

    def current_file_key(self) -> tuple[int, bytes]:
        return max(self.keys.items())

    def file_key(self, key_id: int) -> bytes:
        if key_id not in self.keys:
            raise EncryptionKeyError(f"data key {key_id} is not in the database")
        return self.keys[key_id]


def keyring_of(database: Database, masters: str) -> Keyring:
    """The keyring of a database, which encrypts its columns from now on."""
    keyring = Keyring(database, MasterKeys(lambda: masters))
    keyring.load()
    database.use_cipher(keyring.text_cipher())
    return keyring


def files_with(folder: Path, wanted: Iterable[bytes]) -> list[str]:
    """The files below a folder, with hidden ones, that contain any of these byte strings."""
    searched, found = list(wanted), contents(folder)
    assert found and searched
    return [str(path.relative_to(folder)) for path, held in found.items() if _contains(held, searched)]


def contents(folder: Path) -> dict[Path, bytes]:
    """Every file below a folder, with hidden ones."""
    return undisturbed(
        lambda: {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    )


def undisturbed(look: Callable[[], T]) -> T:
    """What `look` finds in a folder that a server uses: it looks again if a file was renamed or removed meanwhile."""
    while True:
        try:
            return look()
        except FileNotFoundError:
            continue


def _contains(data: bytes, wanted: Iterable[bytes]) -> bool:
    return any(each in data for each in wanted)
