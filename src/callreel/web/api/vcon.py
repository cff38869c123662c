"""A call as a vCon: `formats/vcon.py`, with the digests of its audio as this person gets it."""

import hashlib
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlalchemy import Connection

from callreel.domain.call import Role
from callreel.domain.ids import CallId
from callreel.domain.intervals import Interval
from callreel.domain.recording import Layer, LayerFile, LayerState
from callreel.formats.vcon import MEDIA_TYPE, Audio, Call, began_at, vcon_json
from callreel.postcall.redacted_audio import silences_of
from callreel.review.costs import main_recording
from callreel.review.summary import call_summary, layer_names
from callreel.store.audio.layer_audio import layer_size
from callreel.store.audio.silenced_layer import silenced_range
from callreel.store.calls import calls, layers, legs, recordings
from callreel.store.calls.calls import CallRow
from callreel.web.dependencies import Context, ExistingCall, Original
from callreel.web.errors import existing
from callreel.web.heavy_requests import heavy
from callreel.web.options import WebContext

routes = APIRouter(tags=["calls"])


@routes.get("/api/v1/calls/{call_id}/vcon", response_class=Response)
@heavy
def vcon(context: Context, request: Request, call: ExistingCall, original: Original) -> Response:
    """The call as a vCon (IETF draft, syntax 0.4.0): parties, recordings by address and digest, transcript, verdict, consent.

    Redacted words are masked unless `original=true`. Fetching audio from its `url` needs a session or a token.
    """
    with context.database.read() as conn:
        text = vcon_text(context, request, conn, call.id, original=original)
    headers = {
        "Cache-Control": "no-store",
        "Content-Disposition": f'attachment; filename="call_{call.id}.vcon"',
    }
    return Response(text, media_type=MEDIA_TYPE, headers=headers)


def vcon_text(
    context: WebContext, request: Request, conn: Connection, call_id: CallId, *, original: bool
) -> str:
    """The vCon as JSON. Raises 404."""
    base = (context.options.public_url or str(request.base_url)).rstrip("/")
    found = existing("call", _call(context, conn, call_id, base, original=original))
    return vcon_json(found, urlsplit(base).hostname or "")


def _call(
    context: WebContext, conn: Connection, call_id: CallId, base: str, *, original: bool
) -> Call | None:
    row = calls.get(conn, call_id)
    document = call_summary(conn, call_id, words=True, original=original)
    if row is None or document is None:
        return None
    main = main_recording(recordings.of_call(conn, call_id))
    dialed = [leg.status for leg in legs.of_call(conn, call_id) if leg.parent_sid is not None]
    withheld = row.withheld and not original
    return Call(
        document,
        began_at(row.created_at, row.answered_at, main.started_at if main else None),
        [] if withheld else _audio(context, conn, row, base, original=original),
        dialed[-1] if dialed else None,
        context.options.role_names,
        redacted=withheld or (not original and _has_masks(document)),
        withheld=withheld,
        original_exists=row.originals_destroyed_at is None,
    )


def _has_masks(document: dict[str, Any]) -> bool:
    return any(one["removed_at"] is None for one in document["redaction"]["redactions"])


def _audio(context: WebContext, conn: Connection, row: CallRow, base: str, *, original: bool) -> list[Audio]:
    """The carrier's recordings, or the live layers if there are none."""
    files = layers.of_call(conn, row.id)
    named = list(zip(layer_names(files), files, strict=True))
    silent = {} if original else silences_of(context.options.redaction.margin_ms)(conn, row.id)
    ending = ".wav?original=true" if original else ".wav"
    for layer in (Layer.CLOUD, Layer.LIVE_8K):
        found = []
        for name, file in named:
            digest = _sha512(context, file, silent.get(file.path, ())) if file.layer is layer else None
            if digest is not None:
                url = f"{base}/calls/{row.id}/layers/{name}{ending}"
                found.append(Audio(name, url, digest, file.duration_ms, _channels(row, file)))
        if found:
            return found
    return []


def _channels(row: CallRow, file: LayerFile) -> tuple[Role, ...]:
    """The displayed role on each channel; channel 1 of the carrier's recording is the parent leg."""
    if file.role is not None:
        return (row.displayed(file.role),)
    if file.channels == 2:
        return row.displayed(row.inbound_role), row.displayed(row.inbound_role.other)
    return ()


def _sha512(context: WebContext, file: LayerFile, silent: Sequence[Interval]) -> bytes | None:
    """The digest of the file as it is sent; None while it grows, or without it."""
    size_bytes = None if file.state is LayerState.RECORDING else layer_size(context.blobs, file)
    if size_bytes is None:
        return None
    digest = hashlib.sha512()
    for block in silenced_range(context.blobs, file, 0, size_bytes, silent):
        digest.update(block)
    return digest.digest()
