"""Audio as a response that the audit trail records: who got which part of which file, and why."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Annotated, Final

from anyio import CancelScope
from fastapi import Depends, Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from callreel.domain.audit import AuditAction, AuditEvent
from callreel.domain.ids import CallId
from callreel.domain.intervals import Interval
from callreel.domain.recording import LayerFile
from callreel.web.auth.auditor import Auditor
from callreel.web.auth.person import person_of
from callreel.web.dependencies import AuditService, Context
from callreel.web.errors import error_response

HEADER_BYTES: Final = 44
STORE_EVERY_S: Final = 30.0


@dataclass(slots=True)
class SentPart:
    """The part of a file that was sent: from byte `first`, `sent` bytes."""

    file: LayerFile
    first: int
    sent: int = 0

    @property
    def span(self) -> Interval:
        """In milliseconds, assuming a header of 44 bytes, as our own files have."""
        per_second = self.file.rate_hz * self.file.channels * 2
        ends = (self.first - HEADER_BYTES, self.first + self.sent - HEADER_BYTES)
        start, stop = (max(0, end) * 1000 // per_second for end in ends)
        return start, stop

    def counted(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """`blocks`, each counted once the client has taken it."""
        for block in blocks:
            yield block
            self.sent += len(block)


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """A request for audio. `reason_required`: without a reason that was given lately there is none."""

    request: Request
    auditor: Auditor
    reason_required: bool

    @property
    def method(self) -> str:
        return self.request.method

    def answer(
        self,
        call_id: CallId,
        name: str,
        parts: Sequence[SentPart],
        blocks: Iterator[bytes],
        head: tuple[int, Mapping[str, str]],
        media_type: str,
    ) -> Response:
        """`blocks` with status and headers, recorded under the `name` of the layers; 403 without a required reason.

        `parts` count themselves what is sent of each file.
        """
        reason = self.auditor.reason(person_of(self.request), call_id)
        if reason is None and self.reason_required:
            message = "Give a reason for listening to this call first."
            return error_response(self.request, 403, message, "reason_required")
        plays = self.request.headers.get("sec-fetch-dest") == "audio"
        action = AuditAction.PLAYED if plays else AuditAction.DOWNLOADED
        event = self.auditor.event(self.request.scope, action, call_id, name, reason or "")
        self.auditor.extend(event)
        return _RecordedAudio(blocks, head, media_type, self.auditor, event, parts)


async def _requested(request: Request, auditor: AuditService, context: Context) -> RecordedRequest:
    return RecordedRequest(request, auditor, context.options.playback_reason)


AudioRequest = Annotated[RecordedRequest, Depends(_requested)]


class _RecordedAudio(StreamingResponse):
    """Stores which part was sent when it ends, also by the client, and every half a minute before."""

    def __init__(
        self,
        blocks: Iterator[bytes],
        head: tuple[int, Mapping[str, str]],
        media_type: str,
        auditor: Auditor,
        event: AuditEvent,
        parts: Sequence[SentPart],
    ) -> None:
        self._auditor = auditor
        self._event = event
        self._parts = parts
        super().__init__(self._stored(blocks), *head, media_type=media_type)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            with CancelScope(shield=True):
                await asyncio.to_thread(self._store)

    def _stored(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        stored_s = monotonic()
        for block in blocks:
            yield block
            if monotonic() - stored_s > STORE_EVERY_S:
                self._store()
                stored_s = monotonic()

    def _store(self) -> None:
        self._auditor.extend(self._event, [part.span for part in self._parts if part.sent], requests=0)
