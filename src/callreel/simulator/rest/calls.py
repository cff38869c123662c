"""Calls over REST: list, fetch, end, and their streams (reference/twilio.md, sections 3.1 and 6.5)."""

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from callreel.domain.ids import LegSid
from callreel.simulator.account import Account
from callreel.simulator.calls.twiml_script import StartStream
from callreel.simulator.rest.resources import call_json
from callreel.simulator.rest.responses import (
    BAD_REQUEST,
    NOT_IN_PROGRESS,
    Form,
    RestError,
    callback_of,
    not_found,
    page_of,
)
from callreel.simulator.state import CarrierState, Leg, LiveCall


def add_calls(router: APIRouter, account: Account, ledger: CarrierState) -> None:
    """Put the routes of calls and streams on `router`."""

    def leg_of(sid: str) -> Leg:
        if sid not in ledger.legs:
            raise not_found(f"/Calls/{sid}.json")
        return ledger.legs[sid]

    def live(sid: str) -> LiveCall:
        leg_of(sid)
        if sid not in ledger.live:
            raise RestError(400, NOT_IN_PROGRESS, "Call is not in-progress. Cannot redirect.")
        return ledger.live[sid]

    def call_of(leg: Leg) -> dict[str, Any]:
        return call_json(
            sid=LegSid(leg.sid),
            account_sid=account.sid,
            from_=leg.from_,
            to=leg.to,
            status=leg.status,
            created=leg.began_at,
            parent_sid=None if leg.parent_sid is None else LegSid(leg.parent_sid),
            started=leg.answered_at,
            ended=leg.ended_at,
        )

    @router.get("/Calls.json")
    async def list_calls(request: Request) -> Response:
        query = request.query_params
        legs = [
            leg
            for leg in reversed(ledger.legs.values())
            if query.get("ParentCallSid") in (None, leg.parent_sid)
            and query.get("Status") in (None, leg.status)
            and query.get("From") in (None, leg.from_)
            and query.get("To") in (None, leg.to)
        ]
        return JSONResponse(page_of(request, "calls", [call_of(leg) for leg in legs]))

    @router.get("/Calls/{sid}.json")
    async def fetch_call(sid: str) -> Response:
        return JSONResponse(call_of(leg_of(sid)))

    @router.post("/Calls/{sid}.json")
    async def update_call(sid: str, form: Form) -> Response:
        call = live(sid)
        if form.get("Status") not in ("completed", "canceled"):
            raise RestError(400, BAD_REQUEST, "The stand-in only ends calls: Status=completed")
        call.hang_up()
        return JSONResponse(call_of(leg_of(sid)))

    @router.post("/Calls/{sid}/Streams.json")
    async def start_stream(sid: str, form: Form) -> Response:
        order = _stream_order(form)
        stream_sid = live(sid).start_stream(order)
        return JSONResponse(_stream_json(account.sid, sid, stream_sid, order.name, "in-progress"))

    @router.post("/Calls/{sid}/Streams/{stream}.json")
    async def stop_stream(sid: str, stream: str, form: Form) -> Response:
        if form.get("Status") != "stopped":
            raise RestError(400, BAD_REQUEST, "Status must be stopped")
        if not live(sid).stop_stream(stream):
            raise not_found(f"/Calls/{sid}/Streams/{stream}.json")
        return JSONResponse(_stream_json(account.sid, sid, stream, None, "stopped"))


def _stream_order(form: dict[str, str]) -> StartStream:
    url, track = form.get("Url", ""), form.get("Track", "inbound_track")
    if not url.startswith("wss://") or "?" in url:
        raise RestError(400, BAD_REQUEST, "Url must be wss:// and without a query")
    if track not in ("inbound_track", "outbound_track", "both_tracks"):
        raise RestError(400, BAD_REQUEST, "Track must be inbound_track, outbound_track or both_tracks")
    names = [name for name in form if name.startswith("Parameter") and name.endswith(".Name")]
    return StartStream(
        url=url,
        track=track,
        name=form.get("Name"),
        callback=callback_of(form, "StatusCallback", ""),
        parameters={form[name]: form.get(name.removesuffix("Name") + "Value", "") for name in names},
    )


def _stream_json(account_sid: str, call_sid: str, sid: str, name: str | None, status: str) -> dict[str, Any]:
    uri = f"/2010-04-01/Accounts/{account_sid}/Calls/{call_sid}/Streams/{sid}.json"
    return {
        "account_sid": account_sid,
        "call_sid": call_sid,
        "sid": sid,
        "name": name,
        "status": status,
        "uri": uri,
    }
