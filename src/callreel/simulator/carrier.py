"""The stand-in carrier: an account, a REST API on a port of its own, and calls that it places into an application.

To the application it is the carrier: it signs, delivers, retries and streams as `reference/twilio.md` says. It is no
switch: nobody talks on its calls but recorded voices. Everything it starts ends with it.
"""

import asyncio
import contextlib
import functools
import random
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import httpx2
import uvicorn

from callreel.domain.errors import SettingsError
from callreel.simulator.account import Account, SharedKey, Sids
from callreel.simulator.conversation import Exchange
from callreel.simulator.deliver import Courier
from callreel.simulator.ledger import Ledger
from callreel.simulator.placed_call import Entry, PlacedCall
from callreel.simulator.rest import rest_app
from callreel.simulator.scenario import CallOutcome, CallScript, Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class CarrierConfig:
    """`voice_url` and `status_callback` are the application's public URLs, as a person would give them to the carrier.

    `port` 0 takes a free one. `speed` divides every time of a call. `seed` None draws ids that never repeat; with a
    number the same calls get the same ids. `ranges` lets downloads be resumed.
    """

    voice_url: str
    status_callback: str | None = None
    host: str = "127.0.0.1"
    port: int = 0
    account_sid: str = "AC" + "0" * 31 + "1"
    auth_token: str = "stand-in-auth-token"
    api_key_sid: str = "SK" + "0" * 31 + "1"
    api_key_secret: str = "stand-in-key-secret"
    application_sid: str = "AP" + "0" * 31 + "1"
    shared_key: SharedKey | None = None
    speed: float = 1.0
    recording_delay_s: float = 1.0
    stream_delay_s: float = 0.4
    seed: int | None = None
    ranges: bool = False


class StandInCarrier:
    """`async with StandInCarrier(config) as carrier:`, then `await carrier.place(script)`, any number at once."""

    def __init__(self, config: CarrierConfig) -> None:
        if config.speed <= 0:
            raise SettingsError(f"expected a speed above 0, got {config.speed}")
        self._config = config
        self._account = Account(
            config.account_sid,
            config.auth_token,
            config.api_key_sid,
            config.api_key_secret,
            config.shared_key,
        )
        self._ledger = Ledger()
        self._calls: set[asyncio.Task[CallOutcome]] = set()
        self._api_url = ""
        self._exchange: Exchange
        self._client: httpx2.AsyncClient
        self._server: _Server
        self._serving: asyncio.Task[None]

    @property
    def api_url(self) -> str:
        """Where its REST API is, for example `http://127.0.0.1:41234`; the real one's is https://api.twilio.com."""
        return self._api_url

    @property
    def account(self) -> Account:
        return self._account

    @property
    def sids(self) -> Sids:
        """Where its ids come from; there once it runs."""
        return self._exchange.sids

    async def __aenter__(self) -> Self:
        config = self._config
        listener = _listen(config.host, config.port)
        host = f"[{config.host}]" if ":" in config.host else config.host
        self._api_url = f"http://{host}:{listener.getsockname()[1]}"
        app = rest_app(self._account, self._ledger, self._api_url, ranges=config.ranges)
        self._server = _Server(
            uvicorn.Config(app, lifespan="off", log_config=None, access_log=False, ws="none")
        )
        self._serving = asyncio.create_task(self._server.serve([listener]), name="stand-in carrier REST")
        self._client = httpx2.AsyncClient(verify=_tls(), trust_env=False, follow_redirects=False)
        seed = random.SystemRandom().getrandbits(64) if config.seed is None else config.seed
        sids = Sids(random.Random(seed))
        self._exchange = Exchange(
            account=self._account,
            sids=sids,
            courier=Courier(self._client, self._account, sids),
            ledger=self._ledger,
            api_url=self._api_url,
            speed=config.speed,
            recording_delay_s=config.recording_delay_s,
            stream_delay_s=config.stream_delay_s,
            seed=config.seed or 0,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)
        self._server.leaving.set()
        await self._serving
        await self._client.aclose()

    async def place(
        self, script: CallScript, on_progress: Callable[[Progress], None] | None = None
    ) -> CallOutcome:
        """Place one call and see it through, to its last callback. Cancelling it drops the call."""
        config = self._config
        entry = Entry(config.voice_url, config.status_callback, config.application_sid)
        call = PlacedCall(self._exchange, entry, script, on_progress or (lambda progress: None))
        task = asyncio.create_task(call.run(), name="stand-in call")
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)
        try:
            return await task
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            raise

    async def settle(self) -> None:
        """Return when no call goes on and every callback is delivered or given up."""
        while self._calls:
            await asyncio.wait(set(self._calls))


@functools.cache
def _tls() -> ssl.SSLContext:
    """Made once: reading the certificates takes 25 ms."""
    return httpx2.create_ssl_context()


class _Server(uvicorn.Server):
    """Leaves signals to the program it runs in, and ends at once when told instead of at its next tick."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.leaving = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def main_loop(self) -> None:
        await self.leaving.wait()


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises SettingsError when the port is taken or the host is not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise SettingsError(
            f"the stand-in carrier cannot listen on {host} port {port}: {error.strerror}; give another port"
        ) from error
