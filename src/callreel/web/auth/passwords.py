"""Password hashes, argon2id.

Hashing takes tens of milliseconds of CPU on purpose, so an event loop runs it in a thread (the library releases the
GIL).
"""

import secrets

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from callreel.domain.errors import CallreelError

SHORTEST_PASSWORD = 10
LONGEST_PASSWORD = 1000

_hasher = PasswordHasher(parallelism=1)
"""One thread a hash: by default it is four, and guesses would take all cores from the media sockets."""
_unknown_person_hash = _hasher.hash(secrets.token_urlsafe())


class PasswordError(CallreelError):
    """A new password that is not accepted."""


def hash_password(password: str) -> str:
    """The argon2id hash of a new password, with its salt and parameters. Raises PasswordError if its length is wrong."""
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise PasswordError(
            f"a password needs {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters, not {len(password)}"
        )
    return _hasher.hash(password)


def verify_password(password_hash: str | None, password: str) -> bool:
    """Whether `password` matches. None, for an unknown person or one without a password, takes as long, so that timing reveals no names."""
    try:
        _hasher.verify(password_hash or _unknown_person_hash, password)
    except (VerificationError, InvalidHashError):
        return False
    return password_hash is not None
