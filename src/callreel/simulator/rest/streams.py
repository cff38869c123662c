"""Media streams of a call over REST: start and stop (reference/twilio.md, section 3.1)."""

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from starlette.datastructures import FormData

from callreel.simulator.calls.twiml_script import StartStream, StreamRefusedError
from callreel.simulator.rest.calls import answered_call, running_call
from callreel.simulator.rest.protocol import (
    INVALID_PARAMETER,
    Context,
    Form,
    RestError,
    callback,
    choice,
    invalid,
    not_found,
    text,
)
from callreel.simulator.rest.resources import stream_json
from callreel.twilio.twiml import STREAM_TRACKS

router = APIRouter()

_MAX_PARAMETER_CHARACTERS = 500  # of name and value together


@router.post("/Calls/{sid}/Streams.json")
async def start_stream(sid: str, form: Form, context: Context) -> Response:
    call = answered_call(context, sid)
    try:
        stream = call.start_stream(_stream_order(form))
    except StreamRefusedError as refused:
        raise RestError(400, INVALID_PARAMETER, str(refused)) from None
    return JSONResponse(stream_json(stream, sid, context.account.sid))


@router.post("/Calls/{sid}/Streams/{stream_sid}.json")
async def stop_stream(sid: str, stream_sid: str, form: Form, context: Context) -> Response:
    """`stream_sid` may also be the stream's name."""
    choice(form, "Status", ("stopped",))
    stream = running_call(context, sid).stop_stream(stream_sid)
    if stream is None:
        raise not_found(f"/Calls/{sid}/Streams/{stream_sid}.json")
    return JSONResponse(stream_json(stream, sid, context.account.sid))


def _stream_order(form: FormData) -> StartStream:
    url = text(form, "Url")
    if not url.startswith("wss://") or "?" in url:
        raise invalid("Url", "a wss:// URL without a query")
    names = [name for name in form if name.startswith("Parameter") and name.endswith(".Name")]
    parameters = {text(form, name): text(form, name.removesuffix("Name") + "Value") for name in names}
    for name, value in parameters.items():
        if len(name) + len(value) >= _MAX_PARAMETER_CHARACTERS:
            raise invalid(
                "Parameter", f"shorter than {_MAX_PARAMETER_CHARACTERS} characters, name and value together"
            )
    return StartStream(
        url=url,
        track=choice(form, "Track", STREAM_TRACKS, "inbound_track"),
        name=text(form, "Name") or None,
        callback=callback(form, "StatusCallback"),
        parameters=parameters,
    )
