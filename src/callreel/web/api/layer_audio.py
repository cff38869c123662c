"""Playback and download of a call's audio files, whole or in part (Range), including files that are still growing.

A growing file is sent at the length it has when the request arrives. Its WAV header states that length or a block
less, so a player ends there.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Header, Response
from sqlalchemy import Connection

from callreel.domain.ids import CallId
from callreel.domain.intervals import Interval
from callreel.domain.recording import LayerFile, LayerState
from callreel.postcall.redacted_audio import silences_of
from callreel.review.summary import layer_names
from callreel.store.audio.layer_audio import layer_size
from callreel.store.audio.silenced_layer import silenced_range, silenced_tag
from callreel.store.calls import calls, layers
from callreel.web.api.recorded_audio import AudioRequest, SentPart
from callreel.web.dependencies import Context, Original
from callreel.web.errors import RequestConflictError, error_json, not_found
from callreel.web.options import WebContext
from callreel.web.ranges import UnsatisfiableRangeError, parse_range

Conditional = Annotated[str | None, Header()]

routes = APIRouter(tags=["media"])


@routes.head("/calls/{call_id}/layers/{name}.wav", include_in_schema=False)
@routes.get("/calls/{call_id}/layers/{name}.wav", response_class=Response)
def layer_file(
    context: Context,
    requested: AudioRequest,
    call_id: CallId,
    name: str,
    original: Original,
    range: Conditional = None,
    if_range: Conditional = None,
    if_none_match: Conditional = None,
) -> Response:
    """One file of one layer as WAV, by the name in its `url` or its number from 1. Supports range requests.

    Redacted stretches are silent unless `original=true`, which needs the right to originals.
    """
    with context.database.read() as conn:
        file = _named(layers.of_call(conn, call_id), name)
        silent = file_silences(context, conn, call_id, original=original).get(file.path, ()) if file else ()
    size_bytes = layer_size(context.blobs, file) if file else None
    if file is None or size_bytes is None:
        raise not_found("layer of this call")
    headers = _headers(file, silent)
    etag = headers.get("ETag")
    if etag and if_none_match in (etag, "*"):
        return Response(None, 304, headers)
    # If-Range: a part is useful only together with the rest of the same file. A growing file has no ETag and never
    # matches (RFC 9110, section 13.1.5).
    try:
        part = parse_range(range if if_range in (None, etag) else None, size_bytes)
    except UnsatisfiableRangeError:
        refusal = error_json(416, "The requested range is outside the file.")
        refusal.headers["Content-Range"] = f"bytes */{size_bytes}"
        return refusal
    first, stop = (part.first, part.last + 1) if part else (0, size_bytes)
    headers["Content-Length"] = str(stop - first)
    if part:
        headers["Content-Range"] = part.content_range
    status = 206 if part else 200
    if requested.method == "HEAD":
        return Response(None, status, headers, media_type="audio/wav")
    blocks = silenced_range(context.blobs, file, first, stop, silent)
    shown = f"{name} (original)" if original else name
    sent = SentPart(file, first)
    return requested.answer(call_id, shown, [sent], sent.counted(blocks), (status, headers), "audio/wav")


def _named(files: list[LayerFile], name: str) -> LayerFile | None:
    if name.isascii() and name.isdigit():
        return files[int(name) - 1] if len(name) < 9 and 1 <= int(name) <= len(files) else None
    return dict(zip(layer_names(files), files, strict=True)).get(name)


def file_silences(
    context: WebContext, conn: Connection, call_id: CallId, *, original: bool
) -> Mapping[str, Sequence[Interval]]:
    """What is silenced in the call's files, by path. Raises RequestConflictError while the call awaits redaction."""
    call = None if original else calls.get(conn, call_id)
    if call is None:
        return {}
    if call.withheld:
        raise RequestConflictError("the audio is withheld until sensitive data in it is redacted")
    return silences_of(context.options.redaction.margin_ms)(conn, call_id)


def _headers(file: LayerFile, silent: Sequence[Interval]) -> dict[str, str]:
    file_name = quote(file.path.rpartition("/")[2])
    headers = {"Accept-Ranges": "bytes", "Content-Disposition": f"inline; filename*=UTF-8''{file_name}"}
    if file.sha256 is None or file.state is LayerState.RECORDING:
        return headers | {"Cache-Control": "no-store"}
    return headers | {"Cache-Control": "private, no-cache", "ETag": f'"{silenced_tag(file, silent)}"'}
