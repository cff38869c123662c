"""Passwords and session tokens as they are stored: argon2id for what people choose, SHA-256 for what is random.

`callreel user add` hashes here too. Hashing takes tens of milliseconds of CPU on purpose; on an event loop it belongs
in a thread (the library lets other threads run meanwhile).
"""

import secrets

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from callreel.domain.errors import CallreelError

SHORTEST_PASSWORD = 10
LONGEST_PASSWORD = 1000

_hasher = PasswordHasher()
_nobodys_hash = _hasher.hash(secrets.token_urlsafe())


class PasswordError(CallreelError):
    """A new password that is not accepted."""


def hash_password(password: str) -> str:
    """The argon2id hash of a new password, with its salt and parameters. Raises PasswordError: too short or long."""
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise PasswordError(
            f"a password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters, not {len(password)}"
        )
    return _hasher.hash(password)


def verify_password(password_hash: str | None, password: str) -> bool:
    """Whether `password` is the one that was hashed. None, for a person who is not there, takes as long and is False."""
    try:
        _hasher.verify(password_hash or _nobodys_hash, password)
    except (VerificationError, InvalidHashError):
        return False
    return password_hash is not None
