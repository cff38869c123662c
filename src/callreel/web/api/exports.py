"""Downloads of a call's transcript, in the formats of `review/exports.py`."""

from fastapi import APIRouter
from fastapi.responses import Response

from callreel.domain.ids import CallId
from callreel.review.exports import MEDIA_TYPES, Format, export_transcript
from callreel.web.dependencies import Context, Original
from callreel.web.errors import existing
from callreel.web.heavy_requests import heavy

routes = APIRouter(tags=["transcripts"])


@routes.get("/calls/{call_id}/transcript.{ending}", response_class=Response)
@heavy
def transcript(
    context: Context, call_id: CallId, ending: Format, original: Original, bom: bool = False
) -> Response:
    """The newest transcript as text, subtitles, JSON or CSV: `txt`, `srt`, `vtt`, `json`, `csv`.

    `bom=true` begins CSV with a byte order mark, for Excel. `original=true` shows what is redacted.
    """
    with context.database.read() as conn:
        names = context.options.role_names
        text = export_transcript(conn, call_id, ending, names, byte_order_mark=bom, original=original)
    text = existing("call", text)
    disposition = f'attachment; filename="transcript_{call_id}.{ending}"'
    headers = {"Cache-Control": "no-store", "Content-Disposition": disposition}
    return Response(text, media_type=MEDIA_TYPES[ending], headers=headers)
