"""Recordings over REST: list, fetch, start, pause, resume, stop, delete, download (reference/twilio.md, section 6.1)."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from callreel.simulator.account import Account
from callreel.simulator.calls.cloud_recording import CloudRecording
from callreel.simulator.calls.twiml_script import StartRecording
from callreel.simulator.rest.downloads import download
from callreel.simulator.rest.recording_views import (
    CURRENT,
    call_level,
    filtered,
    shown,
    single,
    update,
)
from callreel.simulator.rest.responses import (
    BAD_REQUEST,
    NOT_FOUND,
    NOT_IN_PROGRESS,
    Form,
    RestError,
    callback_of,
    not_found,
    page_of,
)
from callreel.simulator.state import CarrierState


def add_recordings(
    router: APIRouter, account: Account, ledger: CarrierState, api_url: str, *, ranges: bool
) -> None:
    """Put the routes of recordings on `router`."""

    def found(sid: str, request: Request | None = None) -> CloudRecording:
        recording = ledger.recordings.get(sid)
        soft = request is not None and request.query_params.get("IncludeSoftDeleted", "").lower() == "true"
        if recording is None or (recording.status == "deleted" and not soft):
            raise not_found(f"/Recordings/{sid}.json")
        return recording

    def of_call(call_sid: str, sid: str) -> CloudRecording:
        if call_sid not in ledger.legs:
            raise not_found(f"/Calls/{call_sid}.json")
        if sid != CURRENT:
            recording = found(sid)
            if recording.call_sid == call_sid:
                return recording
            raise not_found(f"/Calls/{call_sid}/Recordings/{sid}.json")
        current = single(ledger.recordings_of(call_sid))
        if current is None:
            raise RestError(404, NOT_FOUND, "The call has no recording, or several are running")
        return current

    @router.get("/Recordings.json")
    async def list_recordings(request: Request) -> Response:
        kept = filtered(reversed(ledger.recordings.values()), request.query_params)
        bodies = [shown(recording, account.sid, api_url) for recording in kept]
        return JSONResponse(page_of(request, "recordings", bodies))

    @router.get("/Calls/{call_sid}/Recordings.json")
    async def list_of_call(call_sid: str, request: Request) -> Response:
        kept = filtered(reversed(ledger.recordings_of(call_sid)), request.query_params)
        bodies = [call_level(recording, account.sid, api_url) for recording in kept]
        return JSONResponse(page_of(request, "recordings", bodies))

    @router.post("/Calls/{call_sid}/Recordings.json")
    async def start(call_sid: str, form: Form) -> Response:
        call = ledger.live.get(call_sid)
        if call is None:
            raise RestError(404, NOT_FOUND, f"The call {call_sid} is not in progress")
        order = StartRecording(
            channels=form.get("RecordingChannels", "mono"),
            track=form.get("RecordingTrack", "both"),
            trim=form.get("Trim", "do-not-trim"),
            name=None,
            callback=callback_of(form, "RecordingStatusCallback", "completed"),
        )
        recording = call.start_recording(order, "StartCallRecordingAPI")
        return JSONResponse(call_level(recording, account.sid, api_url, fine=True), 201)

    @router.get("/Calls/{call_sid}/Recordings/{sid}.json")
    async def fetch_of_call(call_sid: str, sid: str) -> Response:
        return JSONResponse(call_level(of_call(call_sid, sid), account.sid, api_url))

    @router.post("/Calls/{call_sid}/Recordings/{sid}.json")
    async def update_of_call(call_sid: str, sid: str, form: Form) -> Response:
        recording = of_call(call_sid, sid)
        call = ledger.live.get(call_sid)
        if call is None or recording.ended:
            raise RestError(400, NOT_IN_PROGRESS, "The recording is not in progress")
        if not update(call, recording, form.get("Status", ""), form.get("PauseBehavior", "silence")):
            raise RestError(400, BAD_REQUEST, "Status must be paused, in-progress or stopped")
        return JSONResponse(call_level(recording, account.sid, api_url, fine=True))

    async def delete(recording: CloudRecording) -> Response:
        if recording.status != "completed":
            raise RestError(400, BAD_REQUEST, "Only a completed recording can be deleted")
        recording.status, recording.samples = "deleted", None
        return Response(status_code=204)

    @router.delete("/Calls/{call_sid}/Recordings/{sid}.json")
    async def delete_of_call(call_sid: str, sid: str) -> Response:
        return await delete(of_call(call_sid, sid))

    @router.delete("/Recordings/{sid}.json")
    async def delete_recording(sid: str) -> Response:
        return await delete(found(sid))

    @router.get("/Recordings/{sid}/Transcriptions.json")
    async def transcriptions(sid: str, request: Request) -> Response:
        found(sid)
        return JSONResponse(page_of(request, "transcriptions", []))  # it makes none

    @router.get("/Recordings/{name}")
    async def fetch(name: str, request: Request) -> Response:
        sid, _, ending = name.partition(".")
        if ending == "json":
            return JSONResponse(shown(found(sid, request), account.sid, api_url))
        return await download(found(sid), ending, request, ranges=ranges)
