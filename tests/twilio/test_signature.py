"""Signatures, with the carrier's own library and its published vectors as oracles."""

import hashlib
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from callreel.twilio.signature import SignatureCheck, settings_header, sign

TOKEN = "12345"
URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
FORM = {
    "CallSid": "CA1234567890ABCDE",
    "Caller": "+14158675309",
    "From": "+14158675309",
    "Digits": "1234",
    "To": "+18005551212",
}
SIGNATURE = "RSOYDt4T1cUTdK1PDd93/VVr8B8="
KEY, SECRET = "webhooks_sharedkey_01", "a shared secret"
CHECK = SignatureCheck(TOKEN, {KEY: SECRET})

NAMES = st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=0x2FF), max_size=8)
FORMS = st.dictionaries(NAMES, NAMES, max_size=5)


def signed(signature: str, settings: str | None = None) -> dict[str, str]:
    headers = {"X-Twilio-Signature": signature}
    return headers if settings is None else {**headers, "X-Twilio-Webhooks-Signature-Settings": settings}


def test_published_vectors() -> None:
    assert sign(URL, FORM, TOKEN) == SIGNATURE
    pairs = [
        ("Sid", "CA123"),
        ("SidAccount", "AC123"),
        ("Digits", "5678"),
        ("Digits", "1234"),
        ("Digits", "1234"),
    ]
    assert sign(URL, pairs, TOKEN) == "IK+Dwps556ElfBT0I3Rgjkr1wJU="
    body = hashlib.sha256(b'{"property": "value", "boolean": true}').hexdigest()
    assert sign(f"{URL}&bodySHA256={body}", None, TOKEN) == "a9nBmqA0ju/hNViExpshrM61xv4="


@pytest.mark.parametrize("name", ["X-Twilio-Signature", "x-twilio-signature", "X-TWILIO-SIGNATURE"])
def test_header_names_have_no_case(name: str) -> None:
    assert not CHECK.fault(URL, FORM, {name: SIGNATURE})


@pytest.mark.parametrize(
    ("given_to_carrier", "seen_by_us", "valid"),
    [
        ("https://a.example/x#rc=5&rp=all", "https://a.example/x", True),
        ("https://a.example/x", "https://a.example/x#rc=5&rp=all", True),
        ("https://a.example/x", "https://a.example:443/x", True),
        ("https://a.example:443/x", "https://a.example/x", True),
        ("http://a.example:80/x", "http://a.example/x", True),
        ("wss://a.example/x", "wss://a.example:443/x", True),
        ("wss://a.example:443/x", "wss://a.example/x", True),
        ("https://a.example:8443/x", "https://a.example:8443/x", True),
        ("https://[::1]:443/x", "https://[::1]/x", True),
        ("https://user:word@a.example:443/x", "https://user:word@a.example/x", True),
        ("https://a.example/x?", "https://a.example/x?", True),
        ("https://a.example?q=1", "https://a.example:443?q=1", True),
        ("https://a.example:8443/x", "https://a.example/x", False),
        ("https://a.example/x", "https://a.example:8443/x", False),
        ("https://a.example:80/x", "https://a.example/x", False),
        ("https://a.example/x", "http://a.example/x", False),
        ("wss://a.example/x", "https://a.example/x", False),
        ("https://a.example/x/", "https://a.example/x", False),
        ("https://a.example/x?a=1&b=2", "https://a.example/x?b=2&a=1", False),
    ],
)
def test_signature_is_valid_for_equivalent_urls(given_to_carrier: str, seen_by_us: str, valid: bool) -> None:
    fault = CHECK.fault(seen_by_us, FORM, signed(sign(given_to_carrier, FORM, TOKEN)))
    assert (not fault) is valid


def test_shared_key_signs_with_sha256() -> None:
    signature = sign(URL, FORM, SECRET, sha256=True)
    assert not CHECK.fault(URL, FORM, signed(signature, settings_header(KEY)))
    assert RequestValidator(SECRET).validate(URL, FORM, signature, "HMAC_SHA256")


@pytest.mark.parametrize(
    ("secret", "sha256", "settings"),
    [
        (TOKEN, True, None),
        (SECRET, True, None),
        (SECRET, False, f"key={KEY},algorithm=HMAC_SHA1"),
        (SECRET, False, f"key={KEY}"),
        (SECRET, True, "key=webhooks_sharedkey_02,algorithm=HMAC_SHA256"),
        (TOKEN, True, "algorithm=HMAC_SHA256"),
        (TOKEN, False, f"key={KEY},algorithm=HMAC_SHA256"),
        (TOKEN, False, f"key={KEY},algorithm=HMAC_MD5"),
        (SECRET, True, "nonsense,,=,"),
    ],
)
def test_any_other_combination_of_key_and_algorithm_is_refused(
    secret: str, sha256: bool, settings: str | None
) -> None:
    assert CHECK.fault(URL, FORM, signed(sign(URL, FORM, secret, sha256=sha256), settings))


def test_empty_secrets_never_validate() -> None:
    bare = SignatureCheck("", {KEY: ""})
    assert bare.fault(URL, FORM, signed(sign(URL, FORM, "")))
    assert bare.fault(URL, FORM, signed(sign(URL, FORM, "", sha256=True), settings_header(KEY)))


@pytest.mark.parametrize(
    ("check", "headers", "named"),
    [
        (CHECK, {}, "X-Twilio-Signature is missing"),
        (SignatureCheck(""), signed(SIGNATURE), "TWILIO_AUTH_TOKEN is not set"),
        (CHECK, signed(SIGNATURE, settings_header("webhooks_sharedkey_99")), "not in CALLREEL_SHARED_KEYS"),
        (CHECK, signed(SIGNATURE.lower()), "another auth token, or for another URL"),
        (CHECK, signed(SIGNATURE), ""),
    ],
)
def test_the_failed_check_is_named_without_secrets(
    check: SignatureCheck, headers: dict[str, str], named: str
) -> None:
    fault = check.fault(URL, FORM, headers)
    assert named in fault and bool(named) == bool(fault)
    assert TOKEN not in fault and SIGNATURE not in fault


def test_empty_fields_are_signed() -> None:
    form = {**FORM, "Note": ""}
    assert not CHECK.fault(URL, form, signed(sign(URL, form, TOKEN)))
    assert sign(URL, form, TOKEN) != SIGNATURE


@pytest.mark.parametrize("signature", ["", "é", "\ud800", SIGNATURE[:-1], SIGNATURE + "=", SIGNATURE.lower()])
def test_a_wrong_signature_is_false_and_no_error(signature: str) -> None:
    assert CHECK.fault(URL, FORM, signed(signature))


def test_a_missing_signature_is_false() -> None:
    assert CHECK.fault(URL, FORM, {})
    assert CHECK.fault(URL, None, {"X-Twilio-Webhooks-Signature-Settings": settings_header(KEY)})


def test_signature_that_is_no_text_is_invalid() -> None:
    upload: dict[str, str] = {"File": b"bytes"}  # type: ignore[dict-item]
    assert CHECK.fault(URL, upload, signed(SIGNATURE))
    assert CHECK.fault(URL, {"a": "\ud800"}, signed(SIGNATURE))


@given(FORMS, st.booleans())
def test_our_signature_is_valid_for_us_and_the_official_library(form: dict[str, str], sha256: bool) -> None:
    logging.getLogger("twilio").setLevel(logging.ERROR)
    url = "https://calls.example.com/twilio/voice?a=b%20c"
    secret = SECRET if sha256 else TOKEN
    signature = sign(url, form, secret, sha256=sha256)
    assert RequestValidator(secret).validate(url, form, signature, "HMAC_SHA256" if sha256 else None)
    headers = signed(signature, settings_header(KEY) if sha256 else None)
    assert not CHECK.fault(url, form, headers)
    assert not CHECK.fault(url, list(form.items()), headers)
    assert CHECK.fault(url, {**form, "added": "x"}, headers)


@given(st.text(), FORMS, st.dictionaries(st.text(), st.text()), st.text(), st.text())
def test_no_signature_input_raises(
    url: str, form: dict[str, str], headers: dict[str, str], signature: str, settings: str
) -> None:
    assert CHECK.fault(url, form, headers | signed(signature, settings))
