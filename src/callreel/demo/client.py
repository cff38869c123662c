"""A client of the Callreel server's API: health, calls, and the live events of one call."""

import asyncio
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any

import httpx2

from callreel.demo.event_stream import ServerEvent, events
from callreel.domain.errors import CallreelError
from callreel.runtime.outgoing import tls_context

_TIMEOUT_S = 10.0
_POLL_S = 0.1
_RECONNECT_S = 0.5


class ServerError(CallreelError):
    """The server gave no response, or one that the command cannot use."""


class Client:
    """Client of one server; an asynchronous context manager."""

    def __init__(self, base_url: str) -> None:
        self._http = httpx2.AsyncClient(
            base_url=base_url, timeout=_TIMEOUT_S, trust_env=False, verify=tls_context()
        )
        self._base_url = base_url

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def healthy(self) -> bool:
        """Whether `/health` reports success."""
        try:
            return (await self._http.get("/health")).status_code == 200
        except httpx2.TransportError:
            return False

    async def until_healthy(self) -> None:
        """Poll until the server is healthy; the caller sets the timeout."""
        while not await self.healthy():  # noqa: ASYNC110 (another process cannot set an event)
            await asyncio.sleep(_POLL_S)

    async def call_ids(self) -> list[str]:
        """Ids of the newest calls, newest first."""
        found = await self._get("/api/v1/calls")
        calls = found["calls"] if isinstance(found, dict) else found
        return [str(call["call_id"]) for call in calls]

    async def call(self, call_id: str) -> dict[str, Any]:
        """The summary of one call."""
        found = await self._get(f"/api/v1/calls/{call_id}")
        if not isinstance(found, dict):
            raise ServerError(f"{self._base_url}/api/v1/calls/{call_id} did not return an object")
        return found

    async def follow(self, call_id: str) -> AsyncIterator[ServerEvent]:
        """The call's events from its beginning; a broken connection is resumed after the last event."""
        last_id = "0"
        while True:
            try:
                async with self._http.stream(
                    "GET",
                    f"/calls/{call_id}/events",
                    headers={"Accept": "text/event-stream", "Last-Event-ID": last_id},
                    timeout=httpx2.Timeout(_TIMEOUT_S, read=None),
                ) as response:
                    if response.status_code != 200:
                        raise ServerError(
                            f"{self._base_url}/calls/{call_id}/events returned {response.status_code}"
                        )
                    async for event in events(response.aiter_lines()):
                        last_id = event.id or last_id
                        yield event
            except httpx2.TransportError:
                pass
            await asyncio.sleep(_RECONNECT_S)

    async def _get(self, path: str) -> Any:
        try:
            response = await self._http.get(path)
        except httpx2.TransportError as error:
            raise ServerError(f"no response from {self._base_url} ({type(error).__name__})") from None
        if response.status_code != 200:
            raise ServerError(f"{self._base_url}{path} returned {response.status_code}")
        return response.json()
