"""Sign-in at an OpenID Connect provider: a real one as a process, our accounts and roles, and everything that is refused."""

import asyncio
import base64
import hashlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from fastapi.testclient import TestClient
from joserfc import jwt
from joserfc.jwk import KeySet, OctKey, RSAKey
from sqlalchemy import update

from callreel.cli.diagnose import probes
from callreel.domain.access import Scope, UserRole
from callreel.domain.audit import AuditAction
from callreel.runtime.clock import Clock
from callreel.settings import Settings
from callreel.store.audit import accesses
from callreel.store.db.tables import users as user_table
from callreel.store.people import users
from callreel.web.app import WebContext, WebOptions, create_app
from callreel.web.auth.provider import Provider, ProviderError, new_started
from callreel.web.auth.provider_accounts import ProviderSignIn
from callreel.web.auth.signin import COOKIE, SignIn
from callreel.web.options import ProviderOptions
from tests.support.installation import SteppedClock
from tests.support.oidc_provider import ROLES, OidcProvider, oidc_provider
from tests.support.rows import audit_entries
from tests.support.seed import Seed
from tests.web.conftest import PASSWORD, bearer, enter

HERE = "https://calls.example"
BACK = f"{HERE}/sign-in/provider/callback"


@pytest.fixture(scope="module")
def provider() -> Iterator[OidcProvider]:
    with oidc_provider() as running:
        running.put_person("kim-1", preferred_username="kim", groups=["leads", "staff"])
        yield running


@pytest.fixture(scope="module")
def client_of(provider: OidcProvider) -> ProviderOptions:
    return provider.register(BACK)


class OtherClock(Clock):
    """The time of this machine, off by some seconds."""

    __slots__ = ("_off",)

    def __init__(self, off_s: float) -> None:
        object.__setattr__(self, "_off", timedelta(seconds=off_s))

    _off: timedelta

    def now(self) -> Any:
        return super().now() + self._off


@dataclass(frozen=True, slots=True)
class Team:
    """One server whose people sign in at the provider."""

    provider: OidcProvider
    options: ProviderOptions
    place: Seed

    def browser(self, off_s: float = 0, **changed: Any) -> TestClient:
        options = WebOptions(**{"provider": self.options, "public_url": HERE, **changed})
        place = self.place
        app = create_app(WebContext(place.database, place.blobs, place.bus, options, OtherClock(off_s)))
        return TestClient(app, base_url=HERE, follow_redirects=False)

    def sign_in(self, browser: TestClient, subject: str, target: str = "/") -> Any:
        """The answer to the browser that comes back as `subject`."""
        away = browser.get("/sign-in/provider", params={"next": target})
        return browser.get(self.provider.authorize(away.headers["location"], subject))

    def entries(self) -> list[Any]:
        return audit_entries(self.place.database)


@pytest.fixture
def team(provider: OidcProvider, client_of: ProviderOptions, place: Seed) -> Team:
    return Team(provider, client_of, place)


def test_first_sign_in_makes_an_account_with_the_role_of_the_groups(
    team: Team, provider: OidcProvider
) -> None:
    browser = team.browser()
    assert "Sign in with single sign-on" in browser.get("/sign-in").text
    answer = team.sign_in(browser, "kim-1", "/statistics?from=2026-11-20")
    assert (answer.status_code, answer.headers["location"]) == (303, "/statistics?from=2026-11-20")
    me = browser.get("/api/v1/people/me").json()
    assert (me["name"], me["role"]) == ("kim", "supervisor")
    page = browser.get("/me").text
    assert "Current password" not in page and "Second factor" not in page
    assert browser.get("/me/second-factor").status_code == 404
    provider.put_person("kim-1", preferred_username="kimberly", groups=["it"])
    assert team.sign_in(browser, "kim-1").status_code == 303
    again = browser.get("/api/v1/people/me").json()
    assert (again["id"], again["name"], again["role"]) == (me["id"], "kim", "administrator")
    provider.put_person("kim-1", preferred_username="kim", groups=["leads", "staff"])
    found = [(one.action, one.actor, one.subject, one.details.get("role")) for one in team.entries()]
    assert found == [
        ("person_added", "kim", "kim", "supervisor"), ("signed_in", "kim", "", None),
        ("person_changed", "kim", "kim", "administrator"), ("signed_in", "kim", "", None),
    ]  # fmt: skip


def test_request_has_pkce_state_and_nonce(team: Team) -> None:
    browser = team.browser()
    away = browser.get("/sign-in/provider")
    sent = {name: values[0] for name, values in parse_qs(urlsplit(away.headers["location"]).query).items()}
    cookie = away.headers["set-cookie"]
    assert cookie.startswith("__Host-callreel_sign_in=")
    for part in ("HttpOnly", "Secure", "SameSite=lax", "Max-Age=600", "Path=/"):
        assert part in cookie
    state, nonce, verifier, _ = cookie.partition("=")[2].partition(";")[0].split(".", 3)
    digest = hashlib.sha256(verifier.encode()).digest()
    assert sent["code_challenge"] == base64.urlsafe_b64encode(digest).decode().rstrip("=")
    assert (sent["code_challenge_method"], sent["state"], sent["nonce"]) == ("S256", state, nonce)
    assert (sent["response_type"], sent["redirect_uri"]) == ("code", BACK)
    assert verifier not in away.headers["location"]


def test_sign_out_ends_the_session_at_the_provider_too(team: Team) -> None:
    browser = team.browser()
    team.sign_in(browser, "kim-1")
    page = browser.post("/sign-out")
    assert page.status_code == 200 and COOKIE not in browser.cookies
    address = page.text.partition('content="0; url=')[2].partition('"')[0].replace("&amp;", "&")
    assert address.startswith(f"{team.provider.issuer}/oauth2/end_session?")
    sent = parse_qs(urlsplit(address).query)
    assert sent["post_logout_redirect_uri"] == [f"{HERE}/sign-in"] and len(sent["id_token_hint"][0]) > 100
    local = team.browser()
    enter(local, team.place, "sam")
    assert local.post("/sign-out").headers["location"] == "/sign-in", (
        "a local session is none of the provider's"
    )


@pytest.mark.parametrize(
    ("claims", "disabled", "line"),
    [
        ({"groups": ["others"]}, False, "None of your groups has a role in Callreel"),
        ({}, False, "None of your groups has a role in Callreel"),
        ({"groups": ["staff"]}, True, "This account is disabled."),
    ],
)
def test_people_without_a_role_and_disabled_accounts_are_refused(
    team: Team, claims: dict[str, Any], disabled: bool, line: str
) -> None:
    subject = f"lee-{len(claims)}-{disabled}"
    browser = team.browser()
    if disabled:
        team.provider.put_person(subject, preferred_username="lee", groups=["staff"])
        assert team.sign_in(browser, subject).status_code == 303
        with team.place.database.write() as conn:
            conn.execute(update(user_table).where(user_table.c.name == "lee").values(disabled=True))
    team.provider.put_person(subject, preferred_username="lee", **claims)
    before = len(team.entries())
    answer = team.sign_in(browser, subject)
    assert (
        answer.status_code == 403
        and line in answer.text
        and COOKIE not in answer.headers.get("set-cookie", "")
    )
    assert len(team.entries()) == before
    assert browser.get("/api/v1/people/me").status_code == 401


def test_name_at_the_provider_gives_no_access_to_a_local_account(team: Team) -> None:
    team.provider.put_person("stranger", preferred_username="ada", groups=["staff"])
    browser = team.browser()
    team.sign_in(browser, "stranger")
    me = browser.get("/api/v1/people/me").json()
    assert (me["name"], me["role"]) == ("ada (2)", "agent")
    assert team.browser().post("/sign-in", data={"name": "ada (2)", "password": ""}).status_code in (401, 422)
    ada = enter(team.browser(), team.place, "ada")
    changed = ada.patch(f"/api/v1/people/{me['id']}", json={"password": "another password"})
    assert changed.status_code == 409 and "signs in at the provider" in changed.json()["error"]["message"]


def test_last_administrator_is_not_demoted_by_groups(team: Team) -> None:
    team.provider.put_person("root", preferred_username="root", groups=["it"])
    browser = team.browser()
    team.sign_in(browser, "root")
    with team.place.database.write() as conn:
        conn.execute(update(user_table).where(user_table.c.name == "ada").values(role=UserRole.AGENT))
    team.provider.put_person("root", preferred_username="root", groups=["staff"])
    answer = team.sign_in(browser, "root")
    assert answer.status_code == 403 and "you are the last one" in answer.text


def test_last_administrator_is_one_who_can_sign_in(team: Team) -> None:
    browser = team.browser(local_accounts=False)  # ada is an administrator with a local account
    team.provider.put_person("only", preferred_username="only", groups=["it"])
    assert team.sign_in(browser, "only").status_code == 303
    me = browser.get("/api/v1/people/me").json()
    refused = browser.patch(f"/api/v1/people/{me['id']}", json={"disabled": True})
    assert refused.status_code == 409 and "last administrator" in refused.json()["error"]["message"]
    team.provider.put_person("only", preferred_username="only", groups=["staff"])
    answer = team.sign_in(browser, "only")
    assert answer.status_code == 403 and "you are the last one" in answer.text


def test_name_of_the_provider_is_one_line_of_plain_text(team: Team) -> None:
    team.provider.put_person("odd", preferred_username="odd\r\nx\u0085y\u2028z\x00\x1b[31m", groups=["staff"])
    browser = team.browser()
    assert team.sign_in(browser, "odd").status_code == 303
    assert browser.get("/api/v1/people/me").json()["name"] == "odd x y z[31m"


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example", "/\\evil.example"])
def test_redirect_after_sign_in_stays_on_this_site(team: Team, target: str) -> None:
    browser = team.browser()
    assert team.sign_in(browser, "kim-1", target).headers["location"] == "/"
    # and with a cookie that somebody else made
    away = browser.get("/sign-in/provider")
    back = team.provider.authorize(away.headers["location"], "kim-1")
    name = "__Host-callreel_sign_in"
    parts = browser.cookies[name].split(".", 3)
    forged = ".".join((*parts[:3], quote(target, safe="")))
    browser.cookies.delete(name)
    answer = browser.get(back, headers={"Cookie": f"{name}={forged}"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


def test_answer_counts_in_the_browser_that_began_and_once(team: Team) -> None:
    victim, attacker = team.browser(), team.browser()
    away = attacker.get("/sign-in/provider")
    back = team.provider.authorize(away.headers["location"], "kim-1")
    refused = victim.get(back)
    assert refused.status_code == 502 and "did not begin in this browser" in refused.text
    victim.get("/sign-in/provider")
    assert "did not begin in this browser" in victim.get(back).text
    assert attacker.get(f"{back}&iss=https://other.example").status_code == 502, (
        "and it is used up by a fault"
    )
    assert "did not begin in this browser" in attacker.get(back).text


def test_provider_refusals_are_shown_in_one_line(team: Team) -> None:
    browser = team.browser()

    def come_back(**query: str) -> Any:
        away = browser.get("/sign-in/provider")
        state = parse_qs(urlsplit(away.headers["location"]).query)["state"][0]
        return browser.get("/sign-in/provider/callback", params={"state": state, **query})

    denied = come_back(error="access_denied", error_description="<b>pay me</b>")
    assert denied.status_code == 502 and "did not sign you in: access_denied." in denied.text
    assert "pay me" not in denied.text and "unknown error" in come_back(error="<b>x</b>").text
    assert "refused the sign-in code: invalid_grant" in come_back(code="a guess").text
    wrong = team.browser(provider=replace(team.options, client_secret="wrong"))
    answer = team.sign_in(wrong, "kim-1")
    assert "invalid_client; check CALLREEL_OIDC_CLIENT_ID and CALLREEL_OIDC_CLIENT_SECRET." in answer.text


def test_nonce_of_another_sign_in_is_refused(team: Team) -> None:
    browser = team.browser()
    away = browser.get("/sign-in/provider")
    back = team.provider.authorize(away.headers["location"], "kim-1")
    name = "__Host-callreel_sign_in"
    parts = browser.cookies[name].split(".", 3)
    browser.cookies.delete(name)
    answer = browser.get(back, headers={"Cookie": f"{name}={parts[0]}.other.{parts[2]}.{parts[3]}"})
    assert answer.status_code == 502 and "its nonce is not the expected one" in answer.text


@pytest.mark.parametrize("empty", [1, 2])
def test_cookie_with_an_empty_part_is_refused(team: Team, empty: int) -> None:
    browser = team.browser()
    away = browser.get("/sign-in/provider")
    back = team.provider.authorize(away.headers["location"], "kim-1")
    name = "__Host-callreel_sign_in"
    parts = browser.cookies[name].split(".", 3)
    parts[empty] = ""
    browser.cookies.delete(name)
    answer = browser.get(back, headers={"Cookie": f"{name}={'.'.join(parts)}"})
    assert answer.status_code == 502 and "did not begin in this browser" in answer.text


@pytest.mark.parametrize(("off_s", "status"), [(-45, 303), (-120, 502), (3600 + 45, 303), (3600 + 120, 502)])
def test_clocks_may_differ_by_a_minute(team: Team, off_s: float, status: int) -> None:
    """The provider's tokens are valid for an hour."""
    answer = team.sign_in(team.browser(off_s), "kim-1")
    assert answer.status_code == status, answer.text
    assert status == 303 or ("clocks" if off_s > 0 else "its iat is not the expected one") in answer.text


def test_attempts_are_counted_before_the_provider_is_contacted(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def refuse(provider: Provider, started: object, code: str, redirect_url: str) -> None:
        asked.append(code)
        raise ProviderError("no")

    monkeypatch.setattr(Provider, "finish", refuse)
    browser = team.browser()
    statuses = []
    away = browser.get("/sign-in/provider")
    state = parse_qs(urlsplit(away.headers["location"]).query)["state"][0]
    cookie = {"Cookie": away.headers["set-cookie"].partition(";")[0]}
    browser.cookies.clear()
    for number in range(52):
        statuses.append(
            browser.get(
                "/sign-in/provider/callback", params={"state": state, "code": f"{number}"}, headers=cookie
            ).status_code
        )
    assert statuses == [502] * 50 + [429] * 2 and len(asked) == 50
    entered = browser.post("/sign-in", data={"name": "ada", "password": PASSWORD})
    assert entered.status_code == 303, "a broken provider does not lock out a local administrator"


def test_local_accounts_can_be_switched_off(team: Team) -> None:
    browser = team.browser(local_accounts=False)
    page = browser.get("/sign-in").text
    assert 'name="password"' not in page and team.provider.issuer in page
    answer = browser.post("/sign-in", data={"name": "ada", "password": PASSWORD})
    assert answer.status_code == 403 and "Local accounts are switched off." in answer.text
    assert browser.get("/welcome?token=x").status_code == 403
    enter(browser, team.place, "ada")
    assert browser.get("/api/v1/people/me").status_code == 401, "a session from before"
    program = bearer(team.place, "ada", Scope.READ_CALLS, Scope.WRITE_PEOPLE)
    assert browser.get("/api/v1/calls", headers=program).status_code == 200
    added = browser.post("/api/v1/people", json={"name": "eve", "password": PASSWORD}, headers=program)
    assert added.status_code == 409
    assert team.sign_in(browser, "kim-1").status_code == 303
    assert browser.get("/api/v1/people/me").status_code == 200


Change = Callable[[dict[str, Any]], dict[str, Any]]
FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "none": ({}, ""),
    "another issuer": ({"iss": "https://evil.example"}, "its iss is"),
    "another client": ({"aud": "other"}, "its aud is"),
    "several clients without azp": ({"aud": ["me", "other"]}, "its azp is"),
    "another party": ({"aud": ["me", "other"], "azp": "other"}, "its azp is"),
    "expired": ({"exp": -61}, "has expired"),
    "expired within the skew": ({"exp": -59}, ""),
    "from the future": ({"iat": 61}, "its iat is"),
    "not yet valid": ({"nbf": 61}, "its nbf is"),
    "no nonce": ({"nonce": None}, "its nonce is"),
    "no subject": ({"sub": None}, "its sub is"),
    "hash of another access token": ({"at_hash": "AAAA"}, "its at_hash is"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_claims_of_id_tokens(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    changed, fault = FAULTS[name]
    check, key = checker(monkeypatch)
    now = int(SteppedClock().now().timestamp())
    claims = {"iss": ISSUER, "aud": "me", "sub": "kim", "nonce": "n", "iat": 0, "exp": 60, **changed}
    for part in ("iat", "exp", "nbf"):
        if part in claims:
            claims[part] += now
    token = jwt.encode(
        {"alg": "RS256", "kid": key.kid},
        {part: value for part, value in claims.items() if value is not None},
        key,
    )
    if fault:
        with pytest.raises(ProviderError, match=fault):
            check(token)
    else:
        assert check(token)["sub"] == "kim"


@pytest.mark.parametrize(
    "how", ["none", "by the client's secret", "by the public key as a secret", "by another key"]
)
def test_signatures_of_id_tokens(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    check, key = checker(monkeypatch)
    now = int(SteppedClock().now().timestamp())
    claims = {"iss": ISSUER, "aud": "me", "sub": "kim", "nonce": "n", "iat": now, "exp": now + 60}
    if how == "none":
        parts = (b'{"alg":"none"}', str(claims).replace("'", '"').encode(), b"")
        token = ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)
    elif how == "by another key":
        token = jwt.encode({"alg": "RS256", "kid": key.kid}, claims, RSAKey.generate_key(2048))
    else:
        token = jwt.encode({"alg": "HS256", "kid": key.kid}, claims, OctKey.import_key(b"s" * 32))
    with pytest.raises(ProviderError, match="the ID token is not valid"):
        check(token)


ISSUER = "https://sso.example"


@cache
def provider_key() -> RSAKey:
    return RSAKey.generate_key(2048, auto_kid=True)


def checker(monkeypatch: pytest.MonkeyPatch) -> tuple[Callable[..., dict[str, Any]], RSAKey]:
    """The check of ID tokens, for the nonce `n` if no other is given, and the key of a provider whose documents are these."""
    key = provider_key()
    documents = {
        "configuration": {"issuer": ISSUER, "jwks_uri": f"{ISSUER}/keys"},
        "keys": KeySet([key]).as_dict(private=False),
    }
    monkeypatch.setattr(Provider, "_json", lambda provider, what, address, headers=None: documents[what])
    provider = Provider(ProviderOptions(ISSUER, "me", "s" * 32, roles=ROLES), SteppedClock())
    return lambda token, nonce="n": provider._checked(token, nonce, "access"), key


def test_an_empty_nonce_does_not_switch_off_its_check(monkeypatch: pytest.MonkeyPatch) -> None:
    check, key = checker(monkeypatch)
    now = int(SteppedClock().now().timestamp())
    claims = {"iss": ISSUER, "aud": "me", "sub": "kim", "iat": now, "exp": now + 60}
    for sent in ({}, {"nonce": ""}, {"nonce": "n"}):
        with pytest.raises(ProviderError, match="its nonce is not the expected one"):
            check(jwt.encode({"alg": "RS256", "kid": key.kid}, {**claims, **sent}, key), "")


def test_new_key_by_the_old_name_is_fetched_after_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, key = SteppedClock(), provider_key()
    new = RSAKey.generate_key(2048, {"kid": str(key.kid)})
    documents = {
        "configuration": {"issuer": ISSUER, "jwks_uri": f"{ISSUER}/keys"},
        "keys": KeySet([key]).as_dict(private=False),
    }
    monkeypatch.setattr(Provider, "_json", lambda provider, what, address, headers=None: documents[what])
    provider = Provider(ProviderOptions(ISSUER, "me", "s" * 32, roles=ROLES), clock)
    now = int(clock.now().timestamp())
    claims = {"iss": ISSUER, "aud": "me", "sub": "kim", "nonce": "n", "iat": now, "exp": now + 60}
    old_token, token = (jwt.encode({"alg": "RS256", "kid": key.kid}, claims, by) for by in (key, new))
    assert provider._checked(old_token, "n", "access")["sub"] == "kim"
    documents["keys"] = KeySet([new]).as_dict(private=False)
    with pytest.raises(ProviderError, match="BadSignatureError"):
        provider._checked(token, "n", "access")
    clock.step(61)
    assert provider._checked(token, "n", "access")["sub"] == "kim"


def test_failed_discovery_is_remembered_for_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def fail(provider: Provider, what: str, address: str, headers: object = None) -> None:
        asked.append(what)
        raise ProviderError("cannot read it")

    monkeypatch.setattr(Provider, "_json", fail)
    clock = SteppedClock()
    provider = Provider(ProviderOptions(ISSUER, "me", "s" * 32, roles=ROLES), clock)
    for step_s, requests in ((0, 1), (9, 1), (2, 2)):
        clock.step(step_s)
        with pytest.raises(ProviderError, match="cannot read it"):
            provider.begin(new_started(), BACK)
        assert len(asked) == requests


async def test_a_provider_that_does_not_answer_holds_few_threads(
    place: Seed, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, names = threading.Event(), set()

    def hang(provider: Provider, started: object, redirect_url: str) -> str:
        names.add(threading.current_thread().name)
        assert answers.wait(30)
        return "there"

    monkeypatch.setattr(Provider, "begin", hang)
    options = ProviderOptions(ISSUER, "me", "s" * 32, roles=ROLES)
    context = WebContext(place.database, place.blobs, place.bus, WebOptions())
    sign_in = ProviderSignIn(context, options, SignIn(context))
    waiting = [asyncio.create_task(sign_in.begin(new_started(), BACK)) for _ in range(20)]
    await asyncio.sleep(0)  # each begins
    try:
        with pytest.raises(ProviderError, match="too many sign-ins wait"):
            await sign_in.begin(new_started(), BACK)
    finally:
        answers.set()
    assert await asyncio.gather(*waiting) == ["there"] * 20
    assert len(names) <= 4 and all(name.startswith("sign-in provider") for name in names)
    assert await sign_in.begin(new_started(), BACK) == "there"


def test_faults_of_the_configuration_are_one_line(
    provider: OidcProvider, client_of: ProviderOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(issuer: str = provider.issuer) -> str:
        with pytest.raises(ProviderError) as failed:
            Provider(replace(client_of, issuer=issuer), Clock()).begin(new_started(), BACK)
        assert "\n" not in str(failed.value)
        return str(failed.value)

    assert "(ConnectError); check CALLREEL_OIDC_ISSUER" in fault(issuer="http://127.0.0.1:9")
    assert f"calls itself {provider.issuer}; set" in fault(issuer=f"{provider.issuer}/")
    assert "is not JSON (status 404)" in fault(issuer=f"{provider.issuer}/realms/team")
    reached = Provider(client_of, Clock())
    assert reached.check() == "RS256"
    found = dict(reached._discovered())
    monkeypatch.setattr(Provider, "_discovered", lambda self: {**found, "jwks_uri": "https://127.0.0.1/x"})
    with pytest.raises(ProviderError, match="leads into a private network"):
        Provider(client_of, Clock()).check()
    monkeypatch.setattr(
        Provider, "_discovered", lambda self: {**found, "authorization_endpoint": "http://evil.example"}
    )
    assert "no https address as authorization_endpoint" in fault()


def test_doctor_has_a_line_for_the_provider(provider: OidcProvider) -> None:
    assert probes.provider(Settings()) == []
    settings = Settings(oidc_issuer=provider.issuer, oidc_client_id="x", oidc_roles="agent=*")
    assert "has its configuration and keys (RS256)" in probes.provider(settings)[0].line
    lost = Settings(oidc_issuer="http://127.0.0.1:9", oidc_client_id="x", oidc_roles="agent=*")
    assert probes.provider(lost)[0].line.startswith("✗ sign-in provider http://127.0.0.1:9")


def test_highest_role_of_the_groups_counts() -> None:
    options = ProviderOptions("", "", roles={**ROLES, UserRole.AGENT: frozenset({"*"})})
    for groups, role in (
        ({"staff", "it"}, UserRole.ADMINISTRATOR), ({"leads"}, UserRole.SUPERVISOR), (set(), UserRole.AGENT),
    ):  # fmt: skip
        assert options.role_of(frozenset(groups)) is role
    assert ProviderOptions("", "", roles=ROLES).role_of(frozenset({"*"})) is None


def test_the_trail_has_an_entry_for_a_refused_sign_in(team: Team) -> None:
    browser = team.browser()

    def failed() -> int:
        accesses.settle(team.place.database, Clock().now() + timedelta(hours=1))
        return sum(one.action == AuditAction.SIGN_IN_FAILED for one in team.entries())

    for cookie in ("", "__Host-callreel_sign_in=a.n.v.%2F"):
        answer = browser.get(
            "/sign-in/provider/callback?code=x&state=y", headers={"Cookie": cookie} if cookie else {}
        )
        assert answer.status_code == 502 and "did not begin in this browser" in answer.text
        assert failed() == 0, "any page could cause it"
    away = browser.get("/sign-in/provider")
    state = parse_qs(urlsplit(away.headers["location"]).query)["state"][0]
    assert browser.get("/sign-in/provider/callback", params={"code": "x", "state": state}).status_code == 502
    assert failed() == 1


def test_user_of_the_provider_has_no_password(team: Team) -> None:
    team.sign_in(team.browser(), "kim-1")
    with team.place.database.read() as conn:
        row = users.get_by_name(conn, "kim")
    assert row is not None and row.password_hash is None and row.subject == f"{team.provider.issuer} kim-1"
