"""The simulated carrier's account: credentials, webhook signatures, and ids.

Ids come from a given random source, so that a seed makes a call repeatable. Signatures: reference/twilio.md, section 4.1.
"""

import random
from dataclasses import dataclass

from callreel.twilio.signature import settings_header, sign

SIGNATURE_HEADER = "X-Twilio-Signature"
SETTINGS_HEADER = "X-Twilio-Webhooks-Signature-Settings"
TOKEN_HEADER = "I-Twilio-Idempotency-Token"


@dataclass(frozen=True, slots=True)
class SharedKey:
    """A customer's key for signing webhooks with SHA-256 instead of the auth token with SHA-1."""

    id: str
    secret: str


@dataclass(frozen=True, slots=True)
class Account:
    """The only account of a carrier, with its first API key. The auth token signs webhooks."""

    sid: str = "AC" + "0" * 31 + "1"
    auth_token: str = "simulated-auth-token"
    api_key_sid: str = "SK" + "0" * 31 + "1"
    api_key_secret: str = "simulated-api-key-secret-of-the-demo"
    shared_key: SharedKey | None = None

    def signature_headers(self, url: str, form: dict[str, str], *, forged: bool = False) -> dict[str, str]:
        """The signature headers of a request to `url`. `forged` signs with a wrong secret."""
        if self.shared_key is None:
            token = self.auth_token[::-1] + "x" if forged else self.auth_token
            return {SIGNATURE_HEADER: sign(url, form, token)}
        secret = self.shared_key.secret[::-1] + "x" if forged else self.shared_key.secret
        return {
            SIGNATURE_HEADER: sign(url, form, secret, sha256=True),
            SETTINGS_HEADER: settings_header(self.shared_key.id),
        }


class Sids:
    """Generates ids in the carrier's form: a prefix for the kind, and 32 hex digits."""

    def __init__(self, source: random.Random) -> None:
        self._source = source

    def new(self, prefix: str) -> str:
        """`prefix`: CA for a leg, RE for a recording, MZ for a stream, SK for a key, AP for a TwiML app."""
        return f"{prefix}{self._source.getrandbits(128):032x}"

    def uuid(self) -> str:
        """For idempotency tokens."""
        digits = f"{self._source.getrandbits(128):032x}"
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
