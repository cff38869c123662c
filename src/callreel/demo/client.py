"""Our own server's API as a command uses it: health, calls, and the live events of one call."""

import asyncio
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any

import httpx2

from callreel.demo.event_stream import ServerEvent, events
from callreel.domain.errors import CallreelError

_ANSWER_S = 10.0
_AGAIN_S = 0.5


class ServerError(CallreelError):
    """The server answered something that a command cannot go on with, or nothing."""


class Client:
    """One server. Use it as an asynchronous context manager."""

    def __init__(self, base_url: str) -> None:
        self._http = httpx2.AsyncClient(base_url=base_url, timeout=_ANSWER_S, trust_env=False)
        self._base_url = base_url

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def healthy(self) -> bool:
        """Whether `/health` says yes."""
        try:
            return (await self._http.get("/health")).status_code == 200
        except httpx2.TransportError:
            return False

    async def until_healthy(self) -> None:
        """Return when it is; the caller bounds the wait."""
        healthy = False
        while not healthy:
            healthy = await self.healthy()
            await asyncio.sleep(0.0 if healthy else 0.1)

    async def call_ids(self) -> list[str]:
        """Ids of the newest calls, newest first."""
        found = await self._get("/api/calls")
        calls = found["calls"] if isinstance(found, dict) else found
        return [str(call["call_id"]) for call in calls]

    async def call(self, call_id: str) -> dict[str, Any]:
        """The summary of one call."""
        found = await self._get(f"/api/calls/{call_id}")
        if not isinstance(found, dict):
            raise ServerError(f"{self._base_url}/api/calls/{call_id} should answer an object")
        return found

    async def follow(self, call_id: str) -> AsyncIterator[ServerEvent]:
        """The call's events from its beginning, for ever: a connection that breaks is taken up where it was."""
        last_id = "0"
        while True:
            try:
                async with self._http.stream(
                    "GET",
                    f"/calls/{call_id}/events",
                    headers={"Accept": "text/event-stream", "Last-Event-ID": last_id},
                    timeout=httpx2.Timeout(_ANSWER_S, read=None),
                ) as answer:
                    if answer.status_code != 200:
                        raise ServerError(f"live events of call {call_id} were answered {answer.status_code}")
                    async for event in events(answer.aiter_lines()):
                        last_id = event.id or last_id
                        yield event
            except httpx2.TransportError:
                pass
            await asyncio.sleep(_AGAIN_S)

    async def _get(self, path: str) -> Any:
        try:
            answer = await self._http.get(path)
        except httpx2.TransportError as error:
            raise ServerError(f"{self._base_url} does not answer ({type(error).__name__})") from None
        if answer.status_code != 200:
            raise ServerError(f"{self._base_url}{path} answered {answer.status_code}")
        return answer.json()
