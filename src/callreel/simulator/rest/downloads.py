"""Downloads of recordings: WAV or MP3, one or two channels, and the faults that affect them.

404 unless the recording is completed, 400 for channels that it does not have (reference/twilio.md, section 6.3).
"""

import asyncio
import io
import re

import soundfile
from fastapi import Request
from fastapi.responses import JSONResponse
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from callreel.simulator.calls.cloud_recording import CloudRecording
from callreel.simulator.rest.resources import error_json

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")
_ERRORS = {
    "media-404": (404, 20404, "The requested resource was not found"),
    "media-429": (429, 20429, "Too Many Requests"),
    "media-500": (500, 20500, "An internal server error has occurred"),
}
_MP3_32_KBPS = 0.55
"""libsndfile's compression level for a constant 32 kbit/s at 8 kHz, the rate that the carrier documents."""


class TruncatedResponse(Response):
    """Announces its whole length, sends the first half, and breaks the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        half = bytes(self.body[: len(self.body) // 2])
        await send({"type": "http.response.body", "body": half, "more_body": True})


async def download(recording: CloudRecording, extension: str, request: Request, *, ranges: bool) -> Response:
    """The audio, or the error that a fault or the recording's status causes."""
    for fault, (status, code, message) in _ERRORS.items():
        if recording.faults.take(fault):
            headers = {"Twilio-Concurrent-Requests": "101"} if status == 429 else None
            return JSONResponse(error_json(code, message, status), status, headers)
    if recording.samples is None or extension not in ("", "wav", "mp3"):
        return JSONResponse(error_json(20404, "The requested resource was not found", 404), 404)
    requested = request.query_params.get("RequestedChannels")
    try:
        if requested not in (None, "1", "2"):
            raise ValueError("must be 1 or 2")
        body = recording.wav(None if requested is None else int(requested))
    except ValueError as error:
        return JSONResponse(error_json(20001, f"RequestedChannels: {error}", 400), 400)
    media_type = "audio/x-wav"
    if extension == "mp3":
        if "MP3" not in soundfile.available_formats():
            return JSONResponse(error_json(20404, "libsndfile on this machine cannot write MP3", 404), 404)
        body, media_type = await asyncio.to_thread(_mp3, body), "audio/mpeg"
    if recording.faults.take("media-truncated"):
        return TruncatedResponse(body, media_type=media_type)
    return _part(body, media_type, request) if ranges else Response(body, media_type=media_type)


def _part(body: bytes, media_type: str, request: Request) -> Response:
    """The requested range of the body (RFC 9110, section 14.2; a single range)."""
    requested = _RANGE.fullmatch(request.headers.get("range", ""))
    headers = {"Accept-Ranges": "bytes"}
    if requested is None:
        return Response(body, media_type=media_type, headers=headers)
    start, end = int(requested[1]), int(requested[2] or len(body) - 1)
    if start >= len(body) or end < start:
        return Response(status_code=416, headers=headers | {"Content-Range": f"bytes */{len(body)}"})
    part = body[start : end + 1]
    content_range = f"bytes {start}-{start + len(part) - 1}/{len(body)}"
    return Response(part, 206, headers | {"Content-Range": content_range}, media_type)


def _mp3(wav: bytes) -> bytes:
    samples, rate_hz = soundfile.read(io.BytesIO(wav), dtype="int16")
    file = io.BytesIO()
    soundfile.write(
        file,
        samples,
        rate_hz,
        format="MP3",
        bitrate_mode="CONSTANT",
        compression_level=_MP3_32_KBPS,
    )
    return file.getvalue()
