"""Recordings over REST: list, fetch, start, pause, resume, stop, delete (reference/twilio.md, section 6.1)."""

import asyncio
from collections.abc import Iterable, Mapping

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from callreel.simulator.calls.cloud_recording import CloudRecording
from callreel.simulator.faults import PendingFaults
from callreel.simulator.rest.calls import answered_call, existing_leg
from callreel.simulator.rest.downloads import download
from callreel.simulator.rest.protocol import (
    INVALID_PARAMETER,
    NOT_FOUND,
    NOT_IN_PROGRESS,
    Context,
    Form,
    RestContext,
    RestError,
    choice,
    get,
    in_days,
    not_found,
    page_of,
    recording_order,
)
from callreel.simulator.rest.resources import call_level_json, foreign_rows, recording_json_of

router = APIRouter()

CURRENT = "Twilio.CURRENT"
REST_SOURCE = "StartCallRecordingAPI"

_FAULT_ERRORS = {
    "429": (429, 20429, "Too Many Requests"),
    "500": (500, 20500, "Internal server error"),
    "refused": (400, NOT_IN_PROGRESS, "The recording cannot be paused"),
}


@get(router, "/Recordings.json")
async def list_recordings(request: Request, context: Context) -> Response:
    faults = context.state.list_faults
    await _apply_faults(faults, "list")
    listed = _filtered(reversed(context.state.recordings.values()), request.query_params)
    rows = [recording_json_of(recording, context.account.sid, context.api_url) for recording in listed]
    if "CallSid" not in request.query_params and faults.take("list-odd-rows"):
        rows = foreign_rows(context.account.sid) + rows
    return JSONResponse(page_of(request, "recordings", rows))


@get(router, "/Calls/{call_sid}/Recordings.json")
async def list_of_call(call_sid: str, request: Request, context: Context) -> Response:
    existing_leg(context, call_sid)
    listed = _filtered(reversed(context.state.recordings_of(call_sid)), request.query_params)
    rows = [call_level_json(recording, context.account.sid, context.api_url) for recording in listed]
    return JSONResponse(page_of(request, "recordings", rows))


@router.post("/Calls/{call_sid}/Recordings.json")
async def start(call_sid: str, form: Form, context: Context) -> Response:
    """Start a recording. While one that was started over REST runs, the carrier returns that one, with 200."""
    existing_leg(context, call_sid)
    order = recording_order(form, "do-not-trim")
    if call_sid not in context.state.live:
        raise RestError(404, NOT_FOUND, f"The call {call_sid} is not in progress")
    call = answered_call(context, call_sid)
    running = next(
        (
            recording
            for recording in context.state.recordings_of(call_sid)
            if recording.source == REST_SOURCE and not recording.ended
        ),
        None,
    )
    recording = running or call.start_recording(order, REST_SOURCE)
    body = call_level_json(recording, context.account.sid, context.api_url, exact_status=True)
    return JSONResponse(body, 201 if running is None else 200)


@get(router, "/Calls/{call_sid}/Recordings/{sid}.json")
async def fetch_of_call(call_sid: str, sid: str, context: Context) -> Response:
    recording = _of_call(context, call_sid, sid)
    await _apply_faults(recording.faults, "fetch")
    return JSONResponse(call_level_json(recording, context.account.sid, context.api_url))


@router.post("/Calls/{call_sid}/Recordings/{sid}.json")
async def update_of_call(call_sid: str, sid: str, form: Form, context: Context) -> Response:
    recording = _of_call(context, call_sid, sid)
    status = choice(form, "Status", ("paused", "in-progress", "stopped"))
    skip = choice(form, "PauseBehavior", ("skip", "silence"), "silence") == "skip"
    call = context.state.live.get(call_sid)
    if call is None or recording.ended:
        raise RestError(400, NOT_IN_PROGRESS, "The recording is not in progress")
    if status != "stopped":
        await _apply_faults(recording.faults, "pause")
    if status == "paused":
        call.pause_recording(recording, skip=skip)
    elif status == "in-progress":
        call.resume_recording(recording)
    else:
        call.stop_recording(recording)
    return JSONResponse(call_level_json(recording, context.account.sid, context.api_url, exact_status=True))


@router.delete("/Calls/{call_sid}/Recordings/{sid}.json")
async def delete_of_call(call_sid: str, sid: str, context: Context) -> Response:
    return await _delete(_of_call(context, call_sid, sid))


@router.delete("/Recordings/{sid}.json")
async def delete_recording(sid: str, context: Context) -> Response:
    return await _delete(_existing(context, sid))


@get(router, "/Recordings/{sid}/Transcriptions.json")
async def transcriptions(sid: str, request: Request, context: Context) -> Response:
    """The simulated carrier makes no transcriptions."""
    _existing(context, sid)
    return JSONResponse(page_of(request, "transcriptions", []))


@get(router, "/Recordings/{name}")
async def fetch(name: str, request: Request, context: Context) -> Response:
    """The resource (`.json`) or the audio (`.wav`, `.mp3` or no extension)."""
    sid, _, extension = name.partition(".")
    recording = _existing(context, sid, _deleted_too(request.query_params))
    if extension != "json":
        return await download(recording, extension, request, ranges=context.ranges)
    await _apply_faults(recording.faults, "fetch")
    return JSONResponse(recording_json_of(recording, context.account.sid, context.api_url))


def _existing(context: RestContext, sid: str, deleted_too: bool = False) -> CloudRecording:
    recording = context.state.recordings.get(sid)
    if recording is None or (recording.status == "deleted" and not deleted_too):
        raise not_found(f"/Recordings/{sid}.json")
    return recording


def _of_call(context: RestContext, call_sid: str, sid: str) -> CloudRecording:
    existing_leg(context, call_sid)
    if sid == CURRENT:
        running = [recording for recording in context.state.recordings_of(call_sid) if not recording.ended]
        if len(running) != 1:
            raise RestError(404, NOT_FOUND, "The call has no active recording, or several of them")
        return running[0]
    recording = _existing(context, sid)
    if recording.call_sid != call_sid:
        raise not_found(f"/Calls/{call_sid}/Recordings/{sid}.json")
    return recording


async def _delete(recording: CloudRecording) -> Response:
    await _apply_faults(recording.faults, "delete")
    if recording.status != "completed":
        raise RestError(400, INVALID_PARAMETER, "Only a completed recording can be deleted")
    recording.delete()
    return Response(status_code=204)


def _deleted_too(query: Mapping[str, str]) -> bool:
    return query.get("IncludeSoftDeleted", "").lower() == "true"


def _filtered(recordings: Iterable[CloudRecording], query: Mapping[str, str]) -> list[CloudRecording]:
    """The recordings that pass the filters of the query; like the carrier, this ignores unknown filters."""
    if "ConferenceSid" in query:
        return []  # there are no conferences
    return [
        recording
        for recording in recordings
        if (_deleted_too(query) or recording.status != "deleted")
        and query.get("CallSid") in (None, recording.call_sid)
        and in_days(query, "DateCreated", recording.began_at)
    ]


async def _apply_faults(faults: PendingFaults, operation: str) -> None:
    """Delay or fail this request if a fault is pending. Raises RestError."""
    await asyncio.sleep(faults.take_delay_s(f"{operation}-slow"))
    for suffix, (status, code, message) in _FAULT_ERRORS.items():
        if faults.take(f"{operation}-{suffix}"):
            raise RestError(status, code, message)
