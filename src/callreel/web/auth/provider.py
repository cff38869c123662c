"""Sign-in at an OpenID Connect provider: discovery, the authorization code flow with PKCE, and the checks of ID tokens.

Specifications: OpenID Connect Core 1.0, Discovery 1.0 and RP-Initiated Logout 1.0, RFC 7636 (PKCE), RFC 9207 (`iss`). Authlib
makes the requests and checks the claims; accounts are those of `provider_accounts.py`.
"""

import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

import httpx2

from callreel.domain.errors import CallreelError
from callreel.runtime.clock import Clock
from callreel.runtime.loopback import is_loopback
from callreel.runtime.outgoing import AddressRefusedError, guarded, no_cookies
from callreel.store.db.types import storable_text
from callreel.web.options import ProviderOptions

SKEW_S: Final = 60
"""How far the clocks of the provider and of this machine may differ."""
_TIMEOUT_S: Final = 10.0
_METADATA_S: Final = 3600.0
_FAILURE_S: Final = 10.0
"""A provider whose configuration could not be read is not asked again for this long."""
_KEYS_S: Final = 60.0
"""Keys are fetched again at most this often, when a token names an unknown one or its signature does not fit."""
_ALGORITHMS: Final = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
)
"""Signatures by a key of the provider only: neither `none` nor ones by the client's secret."""


class ProviderError(CallreelError):
    """A sign-in that failed because of the provider, its answer or our settings. The message says which."""


@dataclass(frozen=True, slots=True)
class Started:
    """What the browser keeps while it is at the provider. All three are random and used once."""

    state: str
    nonce: str
    verifier: str


@dataclass(frozen=True, slots=True)
class Identity:
    """Who signed in at the provider. `subject` never changes; `name` and `groups` may."""

    subject: str
    name: str
    groups: frozenset[str]
    id_token: str = field(repr=False)


class Provider:
    """One a server. Methods block on requests to the provider; threads may share it. All raise ProviderError."""

    def __init__(self, options: ProviderOptions, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        # Redirects are not followed, other hosts than the issuer's must be public, and no cookie is kept from one person's
        # sign-in to another's.
        self._http = httpx2.Client(
            timeout=_TIMEOUT_S, transport=guarded(options.issuer), cookies=no_cookies()
        )
        self._lock = threading.RLock()
        self._metadata: tuple[float, dict[str, Any]] | None = None
        self._failure: tuple[float, str] | None = None
        self._keys: tuple[float, Any] | None = None

    def begin(self, started: Started, redirect_url: str) -> str:
        """The address at the provider to which the browser goes; it comes back to `redirect_url`."""
        endpoint = self._endpoint("authorization_endpoint")
        address, _ = self._client().create_authorization_url(
            endpoint, state=started.state, code_verifier=started.verifier, nonce=started.nonce,
            redirect_uri=redirect_url,
        )  # fmt: skip
        return str(address)

    def finish(self, started: Started, code: str, redirect_url: str) -> Identity:
        """Exchange the code and check the ID token."""
        tokens = self._exchange(started, code, redirect_url)
        id_token = tokens.get("id_token")
        if not isinstance(id_token, str):
            raise ProviderError("the provider sent no ID token; CALLREEL_OIDC_SCOPES must contain openid")
        claims = self._checked(id_token, started.nonce, tokens.get("access_token"))
        if self._options.groups_claim not in claims or not _name_in(claims):
            claims = {**self._user_info(claims["sub"], tokens.get("access_token")), **claims}
        groups = claims.get(self._options.groups_claim, ())
        listed = [groups] if isinstance(groups, str) else groups if isinstance(groups, list) else []
        name = _name_in(claims) or _plain(str(claims["sub"]))
        return Identity(str(claims["sub"]), name, frozenset(map(str, listed)), id_token)

    def sign_out_url(self, id_token: str, back_to: str) -> str | None:
        """The address that ends the session at the provider, too; None if it has none."""
        if "end_session_endpoint" not in self._discovered():
            return None
        endpoint = self._endpoint("end_session_endpoint")
        query = {
            "id_token_hint": id_token, "client_id": self._options.client_id, "post_logout_redirect_uri": back_to,
        }  # fmt: skip
        return f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{urlencode(query)}"

    def check_issuer(self, issuer: str | None) -> None:
        """The `iss` of an answer (RFC 9207), where the provider sends it: it prevents mixing up two providers."""
        if issuer is not None and issuer != self._options.issuer:
            raise ProviderError("the answer names another provider than CALLREEL_OIDC_ISSUER")

    def check(self) -> str:
        """Fetch metadata and keys; which signatures the provider makes. For `callreel doctor`."""
        self._endpoint("authorization_endpoint")
        self._endpoint("token_endpoint")
        self._client()
        self._fetch_keys()
        found = self._algorithms()
        if not found:
            raise ProviderError("the provider signs ID tokens with none of " + ", ".join(_ALGORITHMS))
        return ", ".join(found)

    # Requests

    def _json(self, what: str, address: str, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        try:
            answer = self._http.get(address, headers=headers)
            found = answer.json() if answer.status_code == 200 else None
        except AddressRefusedError as error:
            raise ProviderError(f"cannot read the provider's {what} at {address}: {error}") from None
        except httpx2.HTTPError as error:
            raise ProviderError(
                f"cannot read the provider's {what} at {address} ({type(error).__name__}); check CALLREEL_OIDC_ISSUER"
            ) from None
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise ProviderError(
                f"the provider's {what} at {address} is not JSON (status {answer.status_code}); check CALLREEL_OIDC_ISSUER"
            )
        return found

    def _discovered(self) -> dict[str, Any]:
        with self._lock:
            now_s = self._clock.monotonic_s()
            if self._metadata is not None and now_s - self._metadata[0] <= _METADATA_S:
                return self._metadata[1]
            if self._failure is not None and now_s - self._failure[0] <= _FAILURE_S:
                raise ProviderError(self._failure[1])
            try:
                found = self._discover()
            except ProviderError as error:
                # The time is read again: it may have waited for the timeout, and others wait for the lock.
                self._failure = self._clock.monotonic_s(), str(error)
                raise
            self._metadata = now_s, found
            return found

    def _discover(self) -> dict[str, Any]:
        address = f"{self._options.issuer.rstrip('/')}/.well-known/openid-configuration"
        found = self._json("configuration", address)
        if found.get("issuer") != self._options.issuer:
            raise ProviderError(
                f"the provider calls itself {str(found.get('issuer'))[:200]}; set CALLREEL_OIDC_ISSUER to exactly that"
            )
        return found

    def _endpoint(self, name: str) -> str:
        found = self._discovered().get(name)
        url = urlsplit(found) if isinstance(found, str) else None
        if url is None or not (url.scheme == "https" or (url.scheme == "http" and is_loopback(url.hostname))):
            raise ProviderError(f"the provider's configuration has no https address as {name}")
        return str(found)

    def _client(self) -> Any:
        try:
            from authlib.oauth2.client import OAuth2Client
        except ImportError:
            raise ProviderError("Authlib is not installed; run: pip install 'callreel[oidc]'") from None
        return OAuth2Client(
            self._http, self._options.client_id, self._options.client_secret, scope=self._options.scopes,
            code_challenge_method="S256",
        )  # fmt: skip

    def _exchange(self, started: Started, code: str, redirect_url: str) -> dict[str, Any]:
        from authlib.oauth2.base import OAuth2Error

        endpoint, client_id, secret = (
            self._endpoint("token_endpoint"), self._options.client_id, self._options.client_secret,
        )  # fmt: skip
        methods = self._discovered().get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        auth, form = httpx2.Auth(), {"client_id": client_id}
        if secret and "client_secret_basic" in methods:
            auth, form = httpx2.BasicAuth(quote(client_id, safe=""), quote(secret, safe="")), {}
        elif secret:
            form["client_secret"] = secret
        try:
            return dict(
                self._client().fetch_token(
                    endpoint,
                    code=code,
                    code_verifier=started.verifier,
                    redirect_uri=redirect_url,
                    auth=auth,
                    **form,
                )  # fmt: skip
            )
        except OAuth2Error as error:
            hint = _HINTS.get(error.error, "")
            raise ProviderError(
                f"the provider refused the sign-in code: {error_code(error.error)}{hint}"
            ) from None
        except AddressRefusedError as error:
            raise ProviderError(f"cannot reach the provider at {endpoint}: {error}") from None
        except (httpx2.HTTPError, ValueError) as error:
            raise ProviderError(
                f"the provider gave no token at {endpoint} ({type(error).__name__})"
            ) from None

    def _user_info(self, subject: str, access_token: object) -> dict[str, Any]:
        """Claims that the ID token lacks; some providers send groups only there."""
        if "userinfo_endpoint" not in self._discovered() or not isinstance(access_token, str):
            return {}
        address = self._endpoint("userinfo_endpoint")
        found = self._json("user information", address, {"Authorization": f"Bearer {access_token}"})
        if found.get("sub") != subject:  # Core 5.3.2
            raise ProviderError("the provider's user information is about another person")
        return found

    # The ID token

    def _algorithms(self) -> list[str]:
        offered = self._discovered().get("id_token_signing_alg_values_supported") or ["RS256"]
        return [name for name in _ALGORITHMS if name in offered]

    def _checked(self, id_token: str, nonce: str, access_token: object) -> dict[str, Any]:
        """The claims of an ID token (Core 3.1.3.7)."""
        from authlib.oidc.core import CodeIDToken
        from joserfc.errors import ExpiredTokenError, JoseError

        try:
            token = self._verified(id_token)
            claims = CodeIDToken(
                token.claims, token.header,
                options={"iss": {"value": self._options.issuer}, "aud": {"value": self._options.client_id}},
                params={"nonce": nonce, "client_id": self._options.client_id, "access_token": access_token},
            )  # fmt: skip
            claims.validate(now=int(self._clock.now().timestamp()), leeway=SKEW_S)
        except ExpiredTokenError:
            raise ProviderError(
                "the ID token has expired; compare the clocks of this machine and the provider"
            ) from None
        except (JoseError, ValueError) as error:
            raise ProviderError(f"the ID token is not valid: {_fault(error)}") from None
        if not nonce or claims.get("nonce") != nonce:  # Authlib checks no nonce if it is given an empty one
            raise ProviderError("the ID token is not valid: its nonce is not the expected one")
        return dict(claims)

    def _verified(self, id_token: str) -> Any:
        from joserfc import jwt
        from joserfc.errors import BadSignatureError, InvalidKeyIdError

        with self._lock:
            keys = self._keys[1] if self._keys else self._fetch_keys()
        algorithms = self._algorithms()
        try:
            return jwt.decode(id_token, keys, algorithms=algorithms)
        except (InvalidKeyIdError, BadSignatureError):  # the provider has a new key, perhaps by the old name
            with self._lock:
                if self._keys and self._clock.monotonic_s() - self._keys[0] < _KEYS_S:
                    raise
                keys = self._fetch_keys()
            return jwt.decode(id_token, keys, algorithms=algorithms)

    def _fetch_keys(self) -> Any:
        from joserfc.errors import JoseError
        from joserfc.jwk import KeySet

        address = self._endpoint("jwks_uri")
        try:
            keys = KeySet.import_key_set(self._json("keys", address))  # type: ignore[arg-type]
        except (JoseError, KeyError, TypeError, ValueError):
            raise ProviderError(f"the provider's keys at {address} cannot be used") from None
        self._keys = self._clock.monotonic_s(), keys
        return keys


_HINTS: Final[Mapping[str, str]] = {
    "invalid_client": "; check CALLREEL_OIDC_CLIENT_ID and CALLREEL_OIDC_CLIENT_SECRET",
    "unauthorized_client": "; check CALLREEL_OIDC_CLIENT_ID and CALLREEL_OIDC_CLIENT_SECRET",
    "redirect_uri_mismatch": "; register the redirect address of docs/security.md at the provider",
}


def new_started() -> Started:
    return Started(secrets.token_urlsafe(32), secrets.token_urlsafe(32), secrets.token_urlsafe(48))


def _name_in(claims: Mapping[str, Any]) -> str:
    """What people call the person: the first of these claims."""
    found = (claims.get(name) for name in ("preferred_username", "email", "name"))
    return next((name for value in found if isinstance(value, str) and (name := _plain(value))), "")


def _plain(text: str) -> str:
    """`text` in one line, without control characters."""
    return " ".join(storable_text(text).split())


def error_code(error: object) -> str:
    """An error code of the provider, if it looks like one: it may come from anybody."""
    text = str(error)
    return text if len(text) <= 40 and text.replace("_", "").isalnum() and text.isascii() else "unknown error"


def _fault(error: Exception) -> str:
    """Which check failed, without values of the token."""
    claim = getattr(error, "claim", None)
    return f"its {error_code(claim)} is not the expected one" if claim else type(error).__name__
