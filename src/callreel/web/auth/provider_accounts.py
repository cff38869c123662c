"""Accounts of people who sign in at an OpenID Connect provider: made at the first sign-in, with the role of their groups.

An account belongs to the provider's `sub`, never to a name: a name at the provider gives no access to a local account.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, ParamSpec, TypeVar

from sqlalchemy import Connection

from callreel.domain.audit import AuditAction
from callreel.runtime.secret_tokens import token_hash
from callreel.runtime.thread_pool import ThreadPool
from callreel.store.audit.pending import describe, record_also
from callreel.store.people import sessions, users
from callreel.store.people.users import LastAdministratorError, UserRow
from callreel.web.auth.attempts import PROVIDER
from callreel.web.auth.provider import Identity, Provider, ProviderError, Started
from callreel.web.auth.signin import SignIn
from callreel.web.options import ProviderOptions, WebContext

P = ParamSpec("P")
T = TypeVar("T")

_CONCURRENT: Final = 4
_MOST_WAITING: Final = 20
"""Sign-ins and sign-outs that ask the provider or wait for it; more are refused at once."""
_LONGEST_ID_TOKEN: Final = 8192
"""A longer one is not kept: it would not fit the address of the sign-out."""


class ProviderRefusedError(ProviderError):
    """The provider knows the person, and we do not let them in. `account` is the name of their account here, if any."""

    def __init__(self, message: str, account: str = "") -> None:
        super().__init__(message)
        self.account = account


@dataclass(frozen=True, slots=True)
class Arrival:
    """A person who came back from the provider: the code to be exchanged, and from where they came."""

    code: str
    redirect_url: str
    address: str
    device: str


class ProviderSignIn:
    """One a server with a provider. Raises ProviderError and TooManyAttemptsError."""

    def __init__(self, context: WebContext, options: ProviderOptions, sign_in: SignIn) -> None:
        self.provider = Provider(options, context.clock)
        self._options = options
        self._local_accounts = context.options.local_accounts
        self._database = context.database
        self._clock = context.clock
        self._sign_in = sign_in
        self._threads = ThreadPool(_CONCURRENT, "sign-in provider")

    async def begin(self, started: Started, redirect_url: str) -> str:
        """Where to send the browser."""
        return await self._in_thread(self.provider.begin, started, redirect_url)

    async def enter(self, started: Started, arrival: Arrival) -> str:
        """A new session's token. Attempts are counted by address before the provider is asked, apart from those with a
        password: while the provider fails, an administrator with a local account signs in."""
        attempt = await self._sign_in.attempts.begin((PROVIDER, arrival.address))
        identity = await self._in_thread(self.provider.finish, started, arrival.code, arrival.redirect_url)
        token = await asyncio.to_thread(self._enter, identity, arrival)
        await self._sign_in.attempts.succeeded(attempt)
        return token

    async def sign_out_url(self, id_token: str, back_to: str) -> str | None:
        """Where to end the session at the provider, too."""
        return await self._in_thread(self.provider.sign_out_url, id_token, back_to)

    async def _in_thread(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run what asks the provider in threads of its own: nothing else waits for a provider that does not answer."""
        if self._threads.pending >= _MOST_WAITING:
            raise ProviderError("too many sign-ins wait for the provider; try again in a few seconds")
        return await self._threads.run(work, *args, **kwargs)

    def _enter(self, identity: Identity, arrival: Arrival) -> str:
        role = self._options.role_of(identity.groups)
        subject = f"{self._options.issuer} {identity.subject}"
        with self._database.write() as conn:
            user = users.get_by_subject(conn, subject)
            if user is not None and user.disabled:
                raise ProviderRefusedError("this account is disabled", user.name)
            if role is None:
                raise ProviderRefusedError(
                    "none of your groups has a role in Callreel; an administrator sets CALLREEL_OIDC_ROLES",
                    user.name if user else "",
                )
            describe(actor=user.name if user else identity.name, provider=True)
            if user is None:
                user = users.add_from_provider(conn, subject, identity.name, role, self._clock.now())
                describe(actor=user.name)
                record_also(conn, AuditAction.PERSON_ADDED, user.name, role=role.value, provider=True)
            elif user.role is not role:
                try:
                    users.change(conn, user.id, role=role, local_accounts=self._local_accounts)
                except LastAdministratorError:
                    raise ProviderRefusedError(
                        "your groups no longer make you an administrator, and you are the last one", user.name
                    ) from None
                record_also(conn, AuditAction.PERSON_CHANGED, user.name, role=role.value, provider=True)
            return self._open(conn, user, identity.id_token, arrival)

    def _open(self, conn: Connection, user: UserRow, id_token: str, arrival: Arrival) -> str:
        token = self._sign_in.add_session(conn, user.id, arrival.address, arrival.device)
        if len(id_token) <= _LONGEST_ID_TOKEN:
            sessions.keep_id_token(conn, token_hash(token), id_token)
        return token
