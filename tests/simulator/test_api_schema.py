"""Schemathesis against the REST API: no value causes a 500, or a status that the carrier does not document.

`OPERATIONS` is the part of Twilio's OpenAPI file for v2010 that the simulated carrier serves, with the error statuses of
its documentation. Generated URLs are on loopback.
"""

import asyncio
import re
from typing import Any

import httpx2
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, assume, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import status_code_conformance

from callreel.simulator.carrier import SimulatedCarrier
from callreel.simulator.scenario import Technician
from callreel.twilio.twiml import (
    RECORDING_CHANNELS,
    RECORDING_EVENTS,
    RECORDING_TRACKS,
    RECORDING_TRIMS,
    STREAM_TRACKS,
)
from tests.simulator.calling import carrier_for, voice
from tests.simulator.receiver import receiving

Fields = dict[str, dict[str, Any]]

EXAMPLES = 8
ERRORS = ("400", "404", "405")
TEXT: dict[str, Any] = {"type": "string"}
NUMBER: dict[str, Any] = {"type": "integer"}
FLAG: dict[str, Any] = {"type": "boolean"}
DAY: dict[str, Any] = {"type": "string", "format": "date"}


def one_of(*values: str) -> dict[str, Any]:
    return {"type": "string", "enum": list(values)}


def several(*values: str) -> dict[str, Any]:
    return {"type": "array", "items": one_of(*values)}


URL = one_of("http://127.0.0.1:1/", "relative", "")
METHOD = one_of("GET", "POST")
PHONE = one_of("+14155550123", "client:ada", "")
PAGE: Fields = {"PageSize": NUMBER, "Page": NUMBER, "PageToken": TEXT}
REPORTED: Fields = {"StatusCallback": URL, "StatusCallbackMethod": METHOD}
DOCUMENT: Fields = {
    "Url": URL,
    "Method": METHOD,
    "Twiml": one_of("<Response><Pause length='600'/></Response>", "<Response>", ""),
    "TimeLimit": NUMBER,
}
RECORDED: Fields = {
    "RecordingChannels": one_of(*RECORDING_CHANNELS),
    "RecordingTrack": one_of(*RECORDING_TRACKS),
    "RecordingStatusCallback": URL,
    "RecordingStatusCallbackMethod": METHOD,
    "RecordingStatusCallbackEvent": several(*RECORDING_EVENTS),
    "Trim": one_of(*RECORDING_TRIMS),
}
PLACED: Fields = {
    "To": PHONE,
    "From": PHONE,
    "Timeout": NUMBER,
    "Record": FLAG,
    "StatusCallbackEvent": several("initiated", "ringing", "answered", "completed"),
}
CALLS: Fields = {
    "To": TEXT,
    "From": TEXT,
    "ParentCallSid": TEXT,
    "Status": TEXT,
    **{f"{name}{sign}": DAY for name in ("StartTime", "EndTime") for sign in ("", "<", ">")},
}
CREATED: Fields = {"DateCreated": DAY, "DateCreated<": DAY, "DateCreated>": DAY}
STREAM: Fields = {
    "Url": one_of("wss://127.0.0.1:1/media", "ws://127.0.0.1:1/media", ""),
    "Name": TEXT,
    "Track": one_of(*STREAM_TRACKS),
    "Parameter1.Name": TEXT,
    "Parameter1.Value": TEXT,
} | REPORTED

CONFIGURED: Fields = {
    "FriendlyName": TEXT,
    "VoiceUrl": URL,
    "VoiceMethod": METHOD,
    "VoiceCallerIdLookup": FLAG,
} | REPORTED

OPERATIONS: dict[str, tuple[Fields, tuple[str, ...]]] = {
    "POST /Calls.json": (DOCUMENT | REPORTED | RECORDED | PLACED, ("201",)),
    "GET /Calls.json": (CALLS | PAGE, ("200",)),
    "GET /Calls/{CallSid}.json": ({}, ("200",)),
    "POST /Calls/{CallSid}.json": (
        DOCUMENT | REPORTED | {"Status": one_of("completed", "canceled")},
        ("200",),
    ),
    "DELETE /Calls/{CallSid}.json": ({}, ("204",)),
    "POST /Calls/{CallSid}/Recordings.json": (RECORDED, ("200", "201")),
    "GET /Calls/{CallSid}/Recordings.json": (CREATED | PAGE, ("200",)),
    "GET /Calls/{CallSid}/Recordings/{RecordingSid}.json": ({}, ("200",)),
    "POST /Calls/{CallSid}/Recordings/{RecordingSid}.json": (
        {
            "Status": one_of("paused", "in-progress", "stopped"),
            "PauseBehavior": one_of("skip", "silence"),
        },
        ("200",),
    ),
    "DELETE /Calls/{CallSid}/Recordings/{RecordingSid}.json": ({}, ("204",)),
    "GET /Recordings.json": (
        CREATED | PAGE | {"CallSid": TEXT, "ConferenceSid": TEXT, "IncludeSoftDeleted": FLAG},
        ("200",),
    ),
    "GET /Recordings/{RecordingSid}.json": ({"IncludeSoftDeleted": FLAG}, ("200",)),
    "GET /Recordings/{RecordingSid}.wav": ({"RequestedChannels": NUMBER}, ("200",)),
    "DELETE /Recordings/{RecordingSid}.json": ({}, ("204",)),
    "GET /Recordings/{RecordingSid}/Transcriptions.json": (PAGE, ("200",)),
    "POST /Calls/{CallSid}/Streams.json": (STREAM, ("200",)),
    "POST /Calls/{CallSid}/Streams/{StreamSid}.json": ({"Status": one_of("stopped")}, ("200",)),
    "GET /Conferences.json": (CREATED | PAGE | {"FriendlyName": TEXT, "Status": TEXT}, ("200",)),
    "GET /Conferences/{ConferenceSid}.json": ({}, ("200",)),
    "POST /Conferences/{ConferenceSid}.json": ({"Status": one_of("completed")}, ("200",)),
    "GET /Conferences/{ConferenceSid}/Participants.json": (PAGE | {"Hold": FLAG, "Muted": FLAG}, ("200",)),
    "POST /Conferences/{ConferenceSid}/Participants/{ParticipantSid}.json": (
        {"Hold": FLAG, "Muted": FLAG, "EndConferenceOnExit": FLAG, "HoldUrl": URL},
        ("200",),
    ),
    "DELETE /Conferences/{ConferenceSid}/Participants/{ParticipantSid}.json": ({}, ("204",)),
    "POST /Keys.json": ({"FriendlyName": TEXT}, ("201",)),
    "POST /Applications.json": (CONFIGURED, ("201",)),
    "GET /Applications.json": (PAGE | {"FriendlyName": TEXT}, ("200",)),
    "GET /IncomingPhoneNumbers.json": (PAGE | {"PhoneNumber": TEXT, "FriendlyName": TEXT}, ("200",)),
    "POST /IncomingPhoneNumbers/{NumberSid}.json": (
        CONFIGURED | {"VoiceApplicationSid": TEXT, "TrunkSid": TEXT},
        ("200",),
    ),
}


def document_of(operation: str, sids: dict[str, str]) -> dict[str, Any]:
    """An OpenAPI document with that one operation. Only a POST has the path of what exists, so that its form is read."""
    method, _, path = operation.partition(" ")
    fields, statuses = OPERATIONS[operation]
    path = path.format(**sids) if method == "POST" else path
    names = re.findall(r"{(\w+)}", path)
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": one_of(sids[name], sids[name][::-1])}
        for name in names
    ]
    described: dict[str, Any] = {
        "responses": {status: {"description": "documented"} for status in statuses + ERRORS}
    }
    if method == "POST":
        form = {"schema": {"type": "object", "properties": fields, "additionalProperties": False}}
        described["requestBody"] = {"content": {"application/x-www-form-urlencoded": form}}
    else:
        parameters += [{"name": name, "in": "query", "schema": schema} for name, schema in fields.items()]
    return {
        "openapi": "3.0.1",
        "info": {"title": "The simulated carrier", "version": "1"},
        "paths": {path: {method.lower(): described | {"parameters": parameters}}},
    }


async def running_resources(carrier: SimulatedCarrier, base: str) -> dict[str, str]:
    """The sids of a running call, of its recording and of its stream, and of another call and its conference."""
    account = carrier.account
    async with httpx2.AsyncClient(auth=(account.sid, account.auth_token), trust_env=False) as client:
        placed = {"To": "+14155550123", "From": "+14155550100", "Twiml": DOCUMENT["Twiml"]["enum"][0]}
        call_sid = (await client.post(f"{base}/Calls.json", data=placed)).json()["sid"]
        while (await client.get(f"{base}/Calls/{call_sid}.json")).json()["status"] != "in-progress":
            pass
        call = f"{base}/Calls/{call_sid}"
        recording = (await client.post(f"{call}/Recordings.json")).json()["sid"]
        stream = (await client.post(f"{call}/Streams.json", data={"Url": STREAM["Url"]["enum"][0]})).json()
        joining = {"Twiml": "<Response><Dial><Conference>room</Conference></Dial></Response>"}
        participant = (await client.post(f"{base}/Calls.json", data=placed | joining)).json()["sid"]
        while not (rooms := (await client.get(f"{base}/Conferences.json")).json()["conferences"]):
            pass
        return {
            "CallSid": call_sid,
            "RecordingSid": recording,
            "StreamSid": stream["sid"],
            "ParticipantSid": participant,
            "ConferenceSid": rooms[0]["sid"],
            "NumberSid": f"PN{1:032x}",
        }


def send_generated_cases(document: dict[str, Any], base: str, auth: tuple[str, str]) -> None:
    path, methods = next(iter(document["paths"].items()))
    operation = schemathesis.openapi.from_dict(document)[path][next(iter(methods))]
    session = requests.Session()
    session.trust_env = False

    def send(case: Case[Any]) -> None:
        hosts = re.findall(r"(?:https?|wss?)://([^/'\"]*)", str(case.body), re.IGNORECASE)
        assume(all(host.startswith("127.0.0.1:") for host in hosts))
        response = case.call(base_url=base, session=session, auth=auth, timeout=10)
        case.validate_response(response, checks=[not_a_server_error, status_code_conformance])

    for mode in GenerationMode:
        bounded = settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        bounded(given(case=operation.as_strategy(generation_mode=mode))(send))()


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_rest_api_returns_only_documented_statuses(operation: str) -> None:
    technician = Technician(voice=voice(2, 240_000), ring_s=0.0)
    async with receiving() as got, carrier_for(got, technician=technician) as carrier:
        account = carrier.account
        base = f"{carrier.api_url}/2010-04-01/Accounts/{account.sid}"
        document = document_of(operation, await running_resources(carrier, base))
        auth = (account.sid, account.auth_token)
        await asyncio.to_thread(send_generated_cases, document, base, auth)
