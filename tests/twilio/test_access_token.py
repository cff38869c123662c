"""Access tokens: ours against the carrier's library, and every kind of invalid token."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.jwt.access_token import AccessToken
from twilio.jwt.access_token.grants import VoiceGrant

from callreel.twilio.access_token import (
    AccessTokenError,
    Grants,
    RefusalCode,
    Refused,
    check,
    is_identity,
    mint,
)

ACCOUNT, KEY, SECRET, APP = "AC" + "1" * 32, "SK" + "2" * 32, "secret-" * 6, "AP" + "3" * 32
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
CLAIMS: dict[str, Any] = {
    "jti": f"{KEY}-1",
    "iss": KEY,
    "sub": ACCOUNT,
    "nbf": int(NOW.timestamp()),
    "exp": int(NOW.timestamp()) + 600,
    "grants": {
        "identity": "ada",
        "voice": {"incoming": {"allow": True}, "outgoing": {"application_sid": APP}},
    },
}


def token(identity: str = "ada", **options: Any) -> str:
    return mint(ACCOUNT, KEY, SECRET, identity, APP, **{"now": NOW} | options)


def signed(claims: dict[str, Any], *, cty: str = "twilio-fpa;v=1", secret: str = SECRET) -> str:
    return jwt.encode(claims, secret, algorithm="HS256", headers={"cty": cty})


def test_minted_token_is_valid() -> None:
    assert check(token(), SECRET, ACCOUNT, NOW) == Grants("ada", APP, True, NOW + timedelta(seconds=600))
    assert check(token(incoming=False, ttl_s=60), SECRET, ACCOUNT, NOW) == Grants(
        "ada", APP, False, NOW + timedelta(seconds=60)
    )


def test_official_library_reads_our_token() -> None:
    now = datetime.now(UTC)
    read = AccessToken.from_jwt(token(now=now), SECRET)
    assert read.payload["sub"] == ACCOUNT and read.payload["grants"] == CLAIMS["grants"]
    assert read.headers["cty"] == "twilio-fpa;v=1"


def test_token_of_the_official_library_is_valid() -> None:
    made = AccessToken(ACCOUNT, KEY, SECRET, identity="ada", ttl=600)
    made.add_grant(VoiceGrant(outgoing_application_sid=APP))
    checked = check(made.to_jwt(), SECRET, ACCOUNT, datetime.now(UTC))
    assert isinstance(checked, Grants)
    assert replace(checked, expires_at=NOW) == Grants("ada", APP, False, NOW)


def test_token_is_valid_between_its_two_times() -> None:
    second = timedelta(seconds=1)
    assert check(token(), SECRET, ACCOUNT, NOW - second) == Refused(
        RefusalCode.INVALID, "it is not valid yet"
    )
    assert isinstance(check(token(), SECRET, ACCOUNT, NOW + 599 * second), Grants)
    assert check(token(), SECRET, ACCOUNT, NOW + 600 * second) == Refused(
        RefusalCode.EXPIRED, "it has expired"
    )


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("not-a-jwt", 31204),
        ("", 31204),
        ("a.b.c", 31204),
        (signed(CLAIMS, secret="another-" * 5), 31204),
        (jwt.encode(CLAIMS, "", algorithm="none", headers={"cty": "twilio-fpa;v=1"}), 31204),
        (signed(CLAIMS, cty="JWT"), 31204),
        (signed(CLAIMS | {"sub": "AC" + "9" * 32}), 31203),
        (signed({name: value for name, value in CLAIMS.items() if name != "exp"}), 31204),
        (signed(CLAIMS | {"exp": True}), 31204),
        (signed(CLAIMS | {"exp": CLAIMS["nbf"] + 86401}), 31207),
        (signed(CLAIMS | {"grants": None}), 31204),
        (signed(CLAIMS | {"grants": {"identity": "ada"}}), 31204),
        (signed(CLAIMS | {"grants": CLAIMS["grants"] | {"identity": "a b"}}), 31204),
    ],
)
def test_invalid_tokens_are_refused(text: str, code: int) -> None:
    refused = check(text, SECRET, ACCOUNT, NOW)
    assert isinstance(refused, Refused) and refused.code == code


@pytest.mark.parametrize(
    "options",
    [{"identity": "a.b"}, {"identity": ""}, {"identity": "x" * 122}, {"ttl_s": 0}, {"ttl_s": 86401}],
)
def test_invalid_requests_mint_no_token(options: dict[str, Any]) -> None:
    with pytest.raises(AccessTokenError):
        token(**options)


def test_without_a_secret_no_token_is_minted() -> None:
    with pytest.raises(AccessTokenError):
        mint(ACCOUNT, KEY, "", "ada", APP, now=NOW)


@given(st.text(max_size=200))
def test_no_token_text_raises(text: str) -> None:
    assert isinstance(check(text, SECRET, ACCOUNT, NOW), Refused)


@given(st.from_regex(r"[A-Za-z0-9_]{1,121}", fullmatch=True))
def test_every_allowed_identity_survives_the_round_trip(identity: str) -> None:
    checked = check(token(identity), SECRET, ACCOUNT, NOW)
    assert is_identity(identity) and isinstance(checked, Grants) and checked.identity == identity
