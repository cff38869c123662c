"""An OpenID Connect provider from the package index (`oidc-provider-mock`) as a process on loopback."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx2

from callreel.domain.access import UserRole
from callreel.web.options import ProviderOptions
from tests.support.program import free_port

_HTTP = httpx2.Client()

ROLES = {
    UserRole.ADMINISTRATOR: frozenset({"it"}),
    UserRole.SUPERVISOR: frozenset({"leads"}),
    UserRole.AGENT: frozenset({"staff"}),
}


@dataclass(frozen=True, slots=True)
class OidcProvider:
    issuer: str

    def register(self, redirect_url: str) -> ProviderOptions:
        """A client of this provider, with a secret."""
        body = {"redirect_uris": [redirect_url], "token_endpoint_auth_method": "client_secret_basic"}
        made = _HTTP.post(f"{self.issuer}/oauth2/clients", json=body).raise_for_status().json()
        return ProviderOptions(self.issuer, made["client_id"], made["client_secret"], roles=ROLES)

    def put_person(self, subject: str, **claims: Any) -> None:
        _HTTP.put(f"{self.issuer}/users/{subject}", json=claims).raise_for_status()

    def authorize(self, address: str, subject: str) -> str:
        """What a person does there: sign in as `subject`; where the browser is sent then, without the host."""
        answer = _HTTP.post(address, data={"sub": subject})
        assert answer.status_code in (302, 303), answer.text
        back = urlsplit(answer.headers["location"])
        return f"{back.path}?{back.query}"


@contextmanager
def oidc_provider() -> Iterator[OidcProvider]:
    """Runs it; clients must register. It writes little, so the pipe does not fill."""
    port = free_port()
    command = [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "--port", str(port)]
    process = subprocess.Popen(
        [*command, "--require-registration", "true"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        provider = OidcProvider(f"http://127.0.0.1:{port}")
        assert any("running on" in line for line in process.stderr), "the provider does not start"
        yield provider
    finally:
        process.terminate()
        process.wait(10)
        process.stderr.close()
