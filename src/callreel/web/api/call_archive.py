"""*Download all*: everything of a call as one ZIP file, made while it is sent."""

from collections.abc import Iterator, Sequence

from fastapi import APIRouter, HTTPException, Request, Response

from callreel.domain.call import CallState
from callreel.domain.intervals import Interval
from callreel.domain.recording import LayerState
from callreel.formats.zip_pieces import Member, zip_pieces, zip_size
from callreel.review.exports import Format, export_transcript
from callreel.review.summary import layer_names
from callreel.store.audio.layer_audio import layer_size
from callreel.store.audio.silenced_layer import silenced_range
from callreel.store.calls import layers
from callreel.web.api.layer_audio import file_silences
from callreel.web.api.recorded_audio import AudioRequest, SentPart
from callreel.web.api.vcon import vcon_text
from callreel.web.dependencies import Context, ExistingCall, Original
from callreel.web.errors import RequestConflictError, existing
from callreel.web.heavy_requests import heavy
from callreel.web.options import WebContext

routes = APIRouter(tags=["media"])


@routes.get("/calls/{call_id}/all.zip", response_class=Response)
@heavy
def archive(
    context: Context, requested: AudioRequest, request: Request, call: ExistingCall, original: Original
) -> Response:
    """All recordings of an ended call, its transcript in each format and its vCon as one ZIP file.

    Redacted stretches are silent and redacted words masked unless `original=true`.
    """
    if call.state is CallState.LIVE:
        raise RequestConflictError("the call is still live; download everything after it has ended")
    folder = f"call_{call.created_at:%Y-%m-%d}_{call.id}" + ("_original" if original else "")
    with context.database.read() as conn:
        files = layers.of_call(conn, call.id)
        silent = file_silences(context, conn, call.id, original=original)
        texts = {
            f"transcript.{ending}": existing(
                "call",  # erased meanwhile
                export_transcript(conn, call.id, ending, context.options.role_names, original=original),
            )
            for ending in Format
        }
        texts["call.vcon"] = vcon_text(context, request, conn, call.id, original=original)
    members, parts, names = [], [], []
    for name, file in zip(layer_names(files), files, strict=True):
        if file.state is LayerState.RECORDING:
            continue
        size_bytes = layer_size(context.blobs, file)
        if size_bytes is None:
            raise HTTPException(
                404, f"The file of the layer {name} is missing. Download the other files one by one."
            )
        part = SentPart(file, 0)
        sound = _sound(context, part, size_bytes, silent.get(file.path, ()))
        members.append(Member(f"{folder}/{file.path}", size_bytes, sound))
        parts.append(part)
        names.append(name)
    for name, text in texts.items():
        content = text.encode()
        members.append(Member(f"{folder}/{name}", len(content), (content,)))
    headers = {"Content-Disposition": f'attachment; filename="{folder}.zip"', "Cache-Control": "no-store"}
    if (size := zip_size(members, call.created_at)) is not None:
        headers["Content-Length"] = str(size)
    return requested.answer(
        call.id,
        ", ".join([*names, "transcript"]) + (" (original)" if original else ""),
        parts,
        zip_pieces(members, call.created_at),
        (200, headers),
        "application/zip",
    )


def _sound(
    context: WebContext, part: SentPart, size_bytes: int, silent: Sequence[Interval]
) -> Iterator[bytes]:
    """The blocks of a file, which is opened when it is its turn."""
    yield from part.counted(silenced_range(context.blobs, part.file, 0, size_bytes, silent))
