"""Delivers webhooks: signs, sends, and retries them with the timeouts and retry policy of their URL.

The policy is that of reference/twilio.md, section 5.1: by default one retry, and only if no connection was made. A
failure at the receiver raises nothing; the `Delivery` records it.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

import httpx2

from callreel.runtime.retry import Backoff
from callreel.simulator.account import TOKEN_HEADER, Account, Sids
from callreel.twilio.connection_overrides import (
    ConnectFailure,
    DeliveryOutcome,
    HttpStatus,
    Overrides,
    ReadTimeout,
    should_retry,
    split_overrides,
)

_BACKOFF = Backoff(first_s=0.1, longest_s=15.0)
_NO_RESPONSE = 0


@dataclass(frozen=True, slots=True)
class Delivery:
    """One webhook. `attempts` are HTTP statuses, 0 for an attempt without a response; `body` is the last response's."""

    url: str
    form: Mapping[str, str]
    attempts: tuple[int, ...]
    body: str = ""
    content_type: str = ""
    content: bytes = field(default=b"", repr=False)

    @property
    def status(self) -> int:
        return self.attempts[-1]

    @property
    def accepted(self) -> bool:
        return 200 <= self.status < 300


class WebhookSender:
    """Sends webhooks over `client`, which its owner closes."""

    def __init__(self, client: httpx2.AsyncClient, account: Account, sids: Sids) -> None:
        self._client = client
        self._account = account
        self._sids = sids

    async def deliver(
        self,
        url: str,
        form: Mapping[str, str],
        *,
        method: str = "POST",
        forged: bool = False,
        token: str | None = None,
    ) -> Delivery:
        """Deliver with retries. A `token` marks even the first attempt as a repetition of an earlier webhook."""
        address, overrides = split_overrides(url)
        fields = dict(form)
        if method == "GET":
            address, fields = _with_query(address, fields), {}
        headers = self._account.signature_headers(address, fields, forged=forged)
        attempts: list[int] = []
        response: httpx2.Response | None = None
        try:
            async with asyncio.timeout(overrides.total_ms / 1000):
                while True:
                    if attempts or token:
                        headers[TOKEN_HEADER] = token = token or self._sids.uuid()
                    response, outcome = await self._attempt(method, address, fields, headers, overrides)
                    attempts.append(response.status_code if response else _NO_RESPONSE)
                    if not should_retry(overrides, len(attempts), outcome):
                        break
                    await asyncio.sleep(_BACKOFF.after_s(len(attempts), jitter=1.0))
        except TimeoutError:
            attempts.append(_NO_RESPONSE)
            response = None
        body, kind = (response.text, response.headers.get("content-type", "")) if response else ("", "")
        return Delivery(address, form, tuple(attempts), body, kind, response.content if response else b"")

    async def _attempt(
        self, method: str, address: str, fields: dict[str, str], headers: dict[str, str], overrides: Overrides
    ) -> tuple[httpx2.Response | None, DeliveryOutcome]:
        timeout = httpx2.Timeout(
            overrides.read_timeout_ms / 1000, connect=overrides.connect_timeout_ms / 1000
        )
        try:
            response = await self._client.request(
                method, address, data=fields or None, headers=headers, timeout=timeout
            )
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.UnsupportedProtocol, httpx2.InvalidURL):
            return None, ConnectFailure()
        except httpx2.TransportError:
            return None, ReadTimeout()
        return response, HttpStatus(response.status_code)


def _with_query(address: str, fields: dict[str, str]) -> str:
    return f"{address}{'&' if '?' in address else '?'}{urlencode(fields)}"
