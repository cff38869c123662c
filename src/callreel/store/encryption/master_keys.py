"""Master keys: 256-bit keys known by an id, from the environment, a file, or a command that fetches them from a KMS.

Keys are written as `id=base64`, one per line or separated by commas. The first one wraps new data keys; the others only unwrap
what they wrapped earlier. A file or a command is read again when a data key names an unknown master key, so that a running server
accepts a new one without a restart. Data keys are wrapped by AES Key Wrap (RFC 3394), which detects a wrong key.
"""

import base64
import binascii
import re
import secrets
import shlex
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from callreel.domain.errors import EncryptionKeyError

KEY_BYTES = 32
COMMAND_TIMEOUT_S = 30.0
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True)
class MasterKey:
    id: str
    secret: bytes = field(repr=False)


class MasterKeys:
    """The configured master keys. `read` returns their text, and may be called again. Raises EncryptionKeyError."""

    def __init__(self, read: Callable[[], str]) -> None:
        self._read = read
        self._keys = parse(read())

    @property
    def ids(self) -> list[str]:
        return [key.id for key in self._keys]

    @property
    def current(self) -> str:
        """The id of the key that wraps new data keys."""
        return self._keys[0].id

    def wrap(self, key: bytes, master_id: str) -> bytes:
        return aes_key_wrap(self._secret(master_id), key)

    def unwrap(self, wrapped: bytes, master_id: str) -> bytes:
        """Raises EncryptionKeyError if the key is unknown, or is not the one that wrapped."""
        try:
            return aes_key_unwrap(self._secret(master_id), wrapped)
        except InvalidUnwrap:
            raise EncryptionKeyError(
                f"master key {master_id} is not the key that the data was encrypted with, although it has its id; "
                "configure the original key"
            ) from None

    def _secret(self, master_id: str) -> bytes:
        for fresh in (False, True):
            if fresh:
                self._keys = parse(self._read())
            for key in self._keys:
                if key.id == master_id:
                    return key.secret
        raise EncryptionKeyError(
            f"the data is encrypted with master key {master_id}, which is not configured (configured: "
            f"{', '.join(self.ids)}); add it where the master keys come from"
        )


def parse(text: str) -> list[MasterKey]:
    """The keys of `text`, the current one first. Raises EncryptionKeyError; the message contains no key."""
    found: list[MasterKey] = []
    lines = (line.partition("#")[0] for line in text.splitlines())
    for entry in (entry.strip() for line in lines for entry in line.split(",")):
        if not entry:
            continue
        key_id, separator, encoded = (part.strip() for part in entry.partition("="))
        try:
            secret = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            secret = b""
        if not separator or _ID.fullmatch(key_id) is None or len(secret) != KEY_BYTES:
            raise EncryptionKeyError(
                f"master key {len(found) + 1} should be id=base64 of {KEY_BYTES} bytes; `callreel keys new` makes one"
            )
        found.append(MasterKey(key_id, secret))
    if not found:
        raise EncryptionKeyError(
            "there is no master key in the configured source; `callreel keys new` makes one"
        )
    if len({key.id for key in found}) < len(found):
        raise EncryptionKeyError("two master keys have the same id")
    return found


def new_master_key(key_id: str) -> str:
    """A line with a new random key. Raises EncryptionKeyError for an unusable id."""
    if _ID.fullmatch(key_id) is None:
        raise EncryptionKeyError(
            "the id of a master key has 1 to 64 letters, digits, dots, dashes and underscores"
        )
    return f"{key_id}={base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()}"


def read_file(path: Path) -> str:
    """Raises EncryptionKeyError."""
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise EncryptionKeyError(f"the master keys in {path} cannot be read: {reason}") from None


def read_command(command: str) -> str:
    """The output of a command, which is run without a shell. Raises EncryptionKeyError; its output is never shown."""
    try:
        done = subprocess.run(
            shlex.split(command), capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=False
        )
    except (OSError, ValueError, IndexError, subprocess.TimeoutExpired) as error:
        raise EncryptionKeyError(f"the command for the master keys failed: {type(error).__name__}") from None
    if done.returncode:
        raise EncryptionKeyError(f"the command for the master keys failed with exit status {done.returncode}")
    return done.stdout
