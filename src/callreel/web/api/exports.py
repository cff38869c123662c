"""Downloading a call's transcript, in the formats of `review/exports.py`."""

from typing import Final

from fastapi import APIRouter
from fastapi.responses import Response

from callreel.domain.ids import CallId
from callreel.review.exports import MEDIA_TYPES, Format, export_transcript
from callreel.web.errors import not_found
from callreel.web.options import WebContext

HEADERS: Final = {"Cache-Control": "no-store"}


def router(context: WebContext) -> APIRouter:
    """`/calls/{call_id}/transcript.{ending}`."""
    routes = APIRouter(tags=["transcripts"])

    @routes.get("/calls/{call_id}/transcript.{ending}", response_class=Response)
    def transcript(call_id: CallId, ending: Format, spoken: bool = False) -> Response:
        """The newest transcript as text, subtitles, JSON or CSV: `txt`, `srt`, `vtt`, `json`, `csv`.

        The text has numbers, spelled letters and addresses in writing where English is spoken, `spoken=true` the words
        as they were said, as all other formats have them.
        """
        written = context.options.english and not spoken
        with context.database.read() as conn:
            text = export_transcript(conn, call_id, ending, context.options.role_names, written=written)
        if text is None:
            raise not_found("call")
        name = f'attachment; filename="transcript_{call_id}.{ending}"'
        headers = {**HEADERS, "Content-Disposition": name}
        return Response(text, media_type=MEDIA_TYPES[ending], headers=headers)

    return routes
