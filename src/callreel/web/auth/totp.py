"""Codes of authenticator apps (TOTP, RFC 6238) and recovery codes. Pure, except for random secrets.

A code has 6 digits and changes every 30 s (the defaults, which every app supports). One step before and after the current one
is accepted too, for clocks that differ and for slow typing.
"""

import secrets
from base64 import b32encode
from datetime import datetime
from typing import Final

import pyotp
import segno
from markupsafe import Markup
from pyotp.exceptions import OTPVerificationError

DIGITS: Final = 6
RECOVERY_CODES: Final = 10
_RECOVERY_BYTES: Final = 10
"""80 random bits: a plain SHA-256 of it cannot be searched."""


def new_secret() -> str:
    """160 random bits in base32, as RFC 4226 recommends."""
    return pyotp.random_base32()


def matching_step(secret: str, code: str, at: datetime) -> int | None:
    """The number of the 30 s step whose code this is: the current one, or one beside it. None: a wrong code."""
    try:
        return pyotp.TOTP(secret).verify_and_get_timecode(code, for_time=at, valid_window=1)
    except OTPVerificationError:
        return None


def plain_code(typed: str) -> str:
    """A code without the spaces and hyphens that apps and our pages show."""
    return "".join(typed.split()).replace("-", "").lower()


def is_app_code(code: str) -> bool:
    return len(code) == DIGITS and code.isascii() and code.isdigit()


def new_recovery_codes() -> list[str]:
    """Ten codes as people see them: `abcd-efgh-ijkl-mnop`."""
    return [
        grouped(b32encode(secrets.token_bytes(_RECOVERY_BYTES)).decode().lower(), "-")
        for _ in range(RECOVERY_CODES)
    ]


def grouped(text: str, between: str = " ") -> str:
    """`text` in groups of four characters."""
    return between.join(text[at : at + 4] for at in range(0, len(text), 4))


def qr_code(secret: str, name: str, issuer: str) -> Markup:
    """The address that apps read (`otpauth:`), as a QR code in SVG; black on white in both color schemes, as scanners need."""
    address = pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name=issuer)
    code = segno.make(address, error="m", micro=False)
    return Markup(code.svg_inline(scale=4, border=4, dark="#000", light="#fff", title="QR code for the app"))
