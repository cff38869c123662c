"""The carrier's request signatures: signing and validating.

The digest is the official library's (`RequestValidator.compute_signature`, twilio 9.13). Its `validate` is not used:
it raises on a missing header, fails on user info and IPv6 hosts with a port, assumes :80 for wss and does not compare in
constant time (reference/twilio.md, section 4.2). The rule itself: section 4.1; sockets: section 3.5.

Nothing here reads Host headers: the URL is built from the configured public address by the caller.
"""

import hmac
import re
from collections.abc import Iterable, Mapping, Sequence

from twilio.request_validator import (
    HMAC_SHA1,
    HMAC_SHA256,
    SIGNATURE_HEADER,
    SIGNATURE_SETTINGS_HEADER,
    RequestValidator,
)

Params = Mapping[str, str] | Sequence[tuple[str, str]] | None
"""The fields of a form, empty ones too; pairs where a name may repeat; None for GET and for a socket's handshake."""

_DEFAULT_PORTS = {"https": "443", "wss": "443", "http": "80", "ws": "80"}
_URL = re.compile(r"(?P<scheme>[a-z]+)://(?P<host>[^/?]*?)(?P<port>:\d+)?(?P<rest>[/?].*)?", re.DOTALL)


class _Fields(dict[str, list[str]]):
    """Several values for a name, in the form that the library expects."""

    def getall(self, name: str) -> list[str]:
        return self[name]


def sign(url: str, params: Params, secret: str, *, sha256: bool = False) -> str:
    """The signature of a request: base64 of HMAC-SHA1 (or SHA-256, for a shared key) over the URL and sorted fields.

    The URL's fragment, which contains the connection overrides, is not signed.
    """
    algorithm = HMAC_SHA256 if sha256 else HMAC_SHA1
    address = url.partition("#")[0]
    signature: str = RequestValidator(secret).compute_signature(address, _fields(params), algorithm)
    return signature


def settings_header(key_sid: str) -> str:
    """The value of `X-Twilio-Webhooks-Signature-Settings` on a request signed with the shared key `key_sid`."""
    return f"key={key_sid},algorithm={HMAC_SHA256}"


class SignatureCheck:
    """Checks that a request is from the carrier.

    Without a settings header the account's Auth Token signs with SHA-1. With one it names the shared key, which signs
    with SHA-256; an unknown key and any other combination are refused. An empty secret never validates.
    """

    def __init__(self, auth_token: str, shared_keys: Mapping[str, str] | None = None) -> None:
        """`shared_keys` holds secrets by key id (`webhooks_sharedkey_...`)."""
        self._auth_token = auth_token
        self._shared_keys = dict(shared_keys or {})

    def fault(self, url: str, params: Params, headers: Mapping[str, str]) -> str:
        """Which check a request fails, as half a sentence without secrets; empty if its signature is right. Never raises.

        `url` is the address that the carrier was given. The carrier adds or drops the scheme's default port as it likes, so
        both forms are accepted.
        """
        given = _header(headers, SIGNATURE_HEADER)
        settings = _header(headers, SIGNATURE_SETTINGS_HEADER)
        secret, sha256 = self._secret(settings)
        if not given:
            return f"the header {SIGNATURE_HEADER} is missing"
        if not secret:
            if settings:
                return f"{SIGNATURE_SETTINGS_HEADER} names a key or an algorithm that is not in CALLREEL_SHARED_KEYS"
            return "TWILIO_AUTH_TOKEN is not set"
        try:
            expected = [sign(form, params, secret, sha256=sha256) for form in _with_and_without_port(url)]
        except (TypeError, ValueError, AttributeError):
            return "the form is not text, so the carrier cannot have signed it"
        matches = [_same(given, signature) for signature in expected]
        return "" if any(matches) else "it was signed with another auth token, or for another URL or form"

    def _secret(self, settings: str) -> tuple[str, bool]:
        """The secret of a valid signature, empty if there is none, and whether it uses SHA-256."""
        parts = dict(_pair(part) for part in settings.split(",")) if settings else {}
        algorithm = parts.get("algorithm", HMAC_SHA1).upper()
        key = parts.get("key")
        if key is None:
            return (self._auth_token, False) if algorithm == HMAC_SHA1 else ("", False)
        return (self._shared_keys.get(key, ""), True) if algorithm == HMAC_SHA256 else ("", True)


def _fields(params: Params) -> _Fields:
    pairs: Iterable[tuple[str, str]] = params.items() if isinstance(params, Mapping) else params or ()
    fields = _Fields()
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    return fields


def _header(headers: Mapping[str, str], wanted: str) -> str:
    return next((value for name, value in headers.items() if name.lower() == wanted.lower()), "")


def _pair(part: str) -> tuple[str, str]:
    name, _, value = part.partition("=")
    return name.strip(), value.strip()


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), expected.encode("ascii"))


def _with_and_without_port(url: str) -> set[str]:
    match = _URL.fullmatch(url.partition("#")[0])
    if match is None:
        return {url}
    scheme, host, port, rest = match["scheme"], match["host"], match["port"], match["rest"] or ""
    default = f":{_DEFAULT_PORTS.get(scheme, '')}"
    if port in (None, default) and default != ":":
        return {f"{scheme}://{host}{rest}", f"{scheme}://{host}{default}{rest}"}
    return {url}
