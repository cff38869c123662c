"""Settings of sessions and of the audit trail."""

from typing import ClassVar
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings

from callreel.domain.access import SecondFactor, UserRole
from callreel.runtime.loopback import is_loopback


class SessionSettings(BaseSettings):
    """How people sign in and how long they stay signed in."""

    title: ClassVar[str] = "Sign-in"

    second_factor: SecondFactor = Field(
        default=SecondFactor.OPTIONAL,
        description="Second factor of local accounts, a code of an authenticator app: off (also for people who have one), optional, or required (for supervisors and administrators; agents may have one).",
    )

    session_hours: float = Field(
        default=12,
        gt=0,
        le=8760,
        description="Lifetime of a session in hours, after which people sign in again.",
    )
    session_idle_minutes: float | None = Field(
        default=None,
        gt=0,
        le=525_600,
        description="A session without a request for this many minutes ends; live updates of an open page do not count. Default: only its lifetime ends it.",
    )


class ProviderSettings(BaseSettings):
    """Sign-in at an OpenID Connect provider."""

    title: ClassVar[str] = "Single sign-on"

    oidc_issuer: str | None = Field(
        default=None,
        description="Issuer of an OpenID Connect provider at which people sign in, exactly as the provider writes it, such as https://sso.example.com/realms/team. Needs Authlib: pip install 'callreel[oidc]'. Register the redirect address CALLREEL_PUBLIC_URL/sign-in/provider/callback and the sign-out address CALLREEL_PUBLIC_URL/sign-in there.",
    )
    oidc_client_id: str | None = Field(
        default=None, description="The client that was registered for Callreel at the provider."
    )
    oidc_client_secret: SecretStr | None = Field(
        default=None, description="Secret of that client. Default: a public client, with PKCE alone."
    )
    oidc_scopes: str = Field(
        default="openid profile email",
        description="What is requested of the provider, separated by spaces; some need another one for groups.",
    )
    oidc_groups_claim: str = Field(
        default="groups",
        description="The claim of the ID token, or of the user information, with the person's groups.",
    )
    oidc_roles: str | None = Field(
        default=None,
        description="Groups that give a role, as role=group;role=group, such as administrator=it;supervisor=leads;agent=*. The highest role counts; * is everybody at the provider; a person without a role is refused. A role is set again at each sign-in.",
    )
    local_accounts: bool = Field(
        default=True,
        description="Whether people may also sign in with a name and password. Off: only at the provider; API tokens keep working.",
    )

    @field_validator("oidc_issuer")
    @classmethod
    def _check_issuer(cls, value: str | None) -> str | None:
        if value is None:
            return None
        url = urlsplit(value)
        safe = url.scheme == "https" or (url.scheme == "http" and is_loopback(url.hostname))
        if not safe or not url.hostname or url.query or url.fragment or url.username:
            raise ValueError("should be an https address without a query, such as https://sso.example.com")
        return value

    @field_validator("oidc_scopes")
    @classmethod
    def _check_scopes(cls, value: str) -> str:
        if "openid" not in value.split():
            raise ValueError("should contain openid")
        return value

    @field_validator("oidc_roles")
    @classmethod
    def _check_roles(cls, value: str | None) -> str | None:
        if value is not None:
            parse_roles(value)
        return value


def parse_roles(text: str) -> dict[UserRole, frozenset[str]]:
    """The groups of each role. A group may contain commas and equals signs, as directory names do. Raises ValueError."""
    found: dict[UserRole, frozenset[str]] = {}
    for pair in filter(None, (part.strip() for part in text.split(";"))):
        name, _, group = (part.strip() for part in pair.partition("="))
        if name not in list(UserRole) or not group:
            raise ValueError(
                f"should be pairs such as agent=staff;supervisor=leads, with the roles {', '.join(UserRole)}"
            )
        role = UserRole(name)
        found[role] = found.get(role, frozenset()) | {group}
    return found


class AuditSettings(BaseSettings):
    """The audit trail: who did what."""

    title: ClassVar[str] = "Audit trail"

    audit_days: int | None = Field(
        default=None,
        ge=1,
        le=36_500,
        description="Days after which entries of the audit trail are removed, with a checkpoint that keeps the rest verifiable. Default: never.",
    )
    audit_search_text: bool = Field(
        default=False,
        description="Whether the audit trail has what people searched for, which may be words of a call. Otherwise only that they searched.",
    )
    playback_reason: bool = Field(
        default=False,
        description="Whether people must give a reason before they play or download a recording; it is valid for an hour.",
    )
