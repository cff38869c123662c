"""Secret tokens of media sockets, sessions, the API and the welcome link."""

import hashlib
import secrets


def new_token() -> str:
    """256 random bits, as text that fits a cookie, a header and a TwiML parameter."""
    return secrets.token_urlsafe(32)


def token_hash(token: str) -> str:
    """The stored form of a token, its SHA-256, so that a copy of the database grants no access."""
    return hashlib.sha256(token.encode()).hexdigest()
