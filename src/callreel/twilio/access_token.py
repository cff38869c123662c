"""Access tokens of the browser softphone: minting them, and validating them as the carrier does.

A token is a JSON Web Token (RFC 7519) signed with HMAC-SHA256 by an API key's secret. Claims and header: the carrier's
"Access Tokens" page (reference/softphone.md, section 2). The browser's SDK does not check it.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any, Final

import jwt
from twilio.jwt.access_token import AccessToken
from twilio.jwt.access_token.grants import VoiceGrant

from callreel.domain.errors import CallreelError

MAX_TTL_S: Final = 24 * 3600
_CONTENT: Final = "twilio-fpa;v=1"
_ALGORITHM: Final = "HS256"
_IDENTITY = re.compile(r"[A-Za-z0-9_]{1,121}")


class AccessTokenError(CallreelError):
    """A token cannot be minted from these values."""


class RefusalCode(IntEnum):
    """The carrier's codes for refused tokens. The SDK shows 31204 as 20101, 31205 as 20104 and 31201 as 20151."""

    NOT_GRANTED = 31201
    NO_VALID_ACCOUNT = 31203
    INVALID = 31204
    EXPIRED = 31205
    LIVES_TOO_LONG = 31207


@dataclass(frozen=True, slots=True)
class Grants:
    """What a valid token allows. `application_sid` None: no outgoing calls. `expires_at` is UTC."""

    identity: str
    application_sid: str | None
    incoming: bool
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Refused:
    """`code` goes to the browser; `reason` contains nothing of the token."""

    code: RefusalCode
    reason: str


def is_identity(text: str) -> bool:
    """Whether the carrier accepts it as a client's name: letters, digits and underscores, at most 121."""
    return _IDENTITY.fullmatch(text) is not None


def mint(
    account_sid: str,
    api_key_sid: str,
    api_key_secret: str,
    identity: str,
    application_sid: str,
    *,
    incoming: bool = True,
    ttl_s: int = 600,
    now: datetime,
) -> str:
    """A token with which `identity` calls through `application_sid`, valid from `now` for `ttl_s` seconds.

    Raises AccessTokenError for an identity that the carrier refuses, an empty secret, or a lifetime outside of one
    second to a day.
    """
    if not is_identity(identity):
        raise AccessTokenError(
            f"expected an identity of 1 to 121 letters, digits and _, got {len(identity)} characters"
        )
    if not api_key_secret:
        raise AccessTokenError("expected the secret of an API key, it is empty")
    if not 1 <= ttl_s <= MAX_TTL_S:
        raise AccessTokenError(f"expected a lifetime of 1 to {MAX_TTL_S} s, got {ttl_s}")
    begins_s = int(now.timestamp())
    token = AccessToken(
        account_sid,
        api_key_sid,
        api_key_secret,
        grants=[VoiceGrant(incoming_allow=incoming, outgoing_application_sid=application_sid)],
        identity=identity,
        nbf=begins_s,
        valid_until=begins_s + ttl_s,
    )
    return str(token.to_jwt())


def issuer_of(token: str) -> str:
    """The SID of the API key that a token names, unverified; empty if it names none."""
    try:
        issuer = jwt.decode(token, options={"verify_signature": False}).get("iss")
    except (jwt.PyJWTError, ValueError, RecursionError):
        return ""
    return issuer if isinstance(issuer, str) else ""


def check(token: str, api_key_secret: str, account_sid: str, now: datetime) -> Grants | Refused:
    """What `token` allows at `now`, or why it is refused. Never raises because of its content."""
    try:
        decoded = jwt.decode_complete(
            token,
            api_key_secret,
            algorithms=[_ALGORITHM],
            options={
                "require": ["exp", "iss", "sub"],
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
            },
        )
    except (jwt.PyJWTError, ValueError, RecursionError) as error:
        return Refused(RefusalCode.INVALID, f"it is not a token of this key ({type(error).__name__})")
    return _granted(decoded["header"], decoded["payload"], account_sid, int(now.timestamp()))


def _granted(
    header: dict[str, Any], claims: dict[str, Any], account_sid: str, now_s: int
) -> Grants | Refused:
    begins_s, ends_s = claims.get("nbf", now_s), claims["exp"]
    if header.get("cty") != _CONTENT:
        return Refused(RefusalCode.INVALID, f"its header lacks cty {_CONTENT}")
    if claims["sub"] != account_sid:
        return Refused(RefusalCode.NO_VALID_ACCOUNT, "it belongs to another account")
    if not _is_number(begins_s) or not _is_number(ends_s):
        return Refused(RefusalCode.INVALID, "its times are not numbers")
    if begins_s > now_s:
        return Refused(RefusalCode.INVALID, "it is not valid yet")
    if ends_s <= now_s:
        return Refused(RefusalCode.EXPIRED, "it has expired")
    if ends_s - begins_s > MAX_TTL_S:
        return Refused(RefusalCode.LIVES_TOO_LONG, "its lifetime is more than a day")
    return _voice_grants(claims.get("grants"), ends_s)


def _voice_grants(grants: object, ends_s: int) -> Grants | Refused:
    voice, identity = _get(grants, "voice"), _get(grants, "identity")
    if not isinstance(identity, str) or not is_identity(identity):
        return Refused(RefusalCode.INVALID, "it names no identity of letters, digits and _")
    if not isinstance(voice, dict):
        return Refused(RefusalCode.INVALID, "it grants no voice")
    application_sid = _get(voice.get("outgoing"), "application_sid")
    return Grants(
        identity=identity,
        application_sid=application_sid if isinstance(application_sid, str) else None,
        incoming=_get(voice.get("incoming"), "allow") is True,
        expires_at=datetime.fromtimestamp(ends_s, UTC),
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 33


def _get(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, dict) else None
