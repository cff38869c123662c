"""`<Dial>`: rings the other party, bridges the two legs, and reports each step to the number's callback.

Only the first target is dialled. On a live call a `<Client>` is a browser, which is really rung. Steps and fields:
reference/twilio.md, sections 5.3 and 5.4.
"""

import asyncio
from dataclasses import dataclass

from callreel.domain.call import Direction, Track
from callreel.domain.ids import LegSid
from callreel.simulator.calls.context import CallContext
from callreel.simulator.calls.twiml_script import Dial, DialClient, DialNumber
from callreel.simulator.calls.webhook_forms import LegEvent, call_status_form, dial_action_fields
from callreel.simulator.scenario import Stage
from callreel.simulator.signalling.browser_leg import BrowserLeg
from callreel.simulator.signalling.webrtc import MediaError
from callreel.simulator.sound.ringback import ringback
from callreel.simulator.sound.technician import run_technician
from callreel.simulator.state import Leg
from callreel.twilio.webhooks import CLIENT

LAST_WORDS_MS = 500
"""The agent hangs up this long after the end of the longer voice."""

_RINGING_AFTER_MS = 100
_PROGRESS_INTERVAL_MS = 1000
SEQUENCE = {"initiated": 0, "ringing": 1, "answered": 2, "completed": 3}
_SIP_CODES = {"completed": 200, "busy": 486, "no-answer": 480, "canceled": 487, "failed": 500}


@dataclass(frozen=True, slots=True)
class DialResult:
    """How a `<Dial>` ended, and at which position of the call."""

    child_sid: str
    status: str
    answered_ms: int | None
    ended_ms: int

    @property
    def action_fields(self) -> dict[str, str]:
        """The fields of the request to `action`."""
        since_ms = self.ended_ms if self.answered_ms is None else self.answered_ms
        return dial_action_fields(
            child_sid=LegSid(self.child_sid),
            status=self.status,
            duration_s=round((self.ended_ms - since_ms) / 1000),
            bridged=self.answered_ms is not None,
        )


def unanswered_status(call: CallContext, timeout_s: int) -> str | None:
    """The status of a phone that does not answer; None if it answers in time."""
    if call.fault("busy") is not None:
        return "busy"
    answers = call.script.answer and call.script.ring_s < timeout_s and call.fault("no-answer") is None
    return None if answers else "no-answer"


class DialRunner:
    """Runs one `<Dial>` of a call once."""

    def __init__(self, call: CallContext, dial: Dial) -> None:
        self._call = call
        self._dial = dial
        self._target = dial.targets[0]
        self._leg = self._child()
        self._answered_ms: int | None = None

    async def run(self, at_ms: int) -> DialResult:
        """From `at_ms` until one party hangs up, the dial times out, or the call ends or is redirected."""
        self._call.services.state.legs[self._leg.sid] = self._leg
        self._step("initiated", "initiated", at_ms)
        if self._call.script.live and isinstance(self._target, DialClient):
            return await self._ring_browser(self._target.identity, at_ms)
        return await self._ring_phone(at_ms)

    async def _ring_phone(self, at_ms: int) -> DialResult:
        call, script = self._call, self._call.script
        ring_ms = min(round(script.ring_s * 1000), self._dial.timeout_s * 1000)
        failure = unanswered_status(call, self._dial.timeout_s)
        answer_ms = at_ms + ring_ms
        call.audio.write(Track.OUTBOUND, at_ms, ringback(script.ringback, ring_ms))
        if await call.wait_until(at_ms + min(_RINGING_AFTER_MS, ring_ms)):
            self._report_ringing(at_ms + _RINGING_AFTER_MS)
        if failure is None and not script.live:
            self._lay_voices(answer_ms)
        if not await call.wait_until(answer_ms):
            return self._end("canceled", self._end_ms())
        if failure is not None:
            return self._end(failure, answer_ms)
        if script.live:
            self._start_technician(Track.OUTBOUND, answer_ms)
        return await self._bridge(answer_ms)

    async def _ring_browser(self, identity: str, at_ms: int) -> DialResult:
        """Ring the browser registered as `identity`: the agent, as the call's child leg."""
        call, switchboard = self._call, self._call.services.switchboard
        browser = None if switchboard is None else switchboard.leg_for(identity, self._leg.sid)
        if browser is None:
            return self._end("no-answer", at_ms)
        try:
            return await self._offer_to(browser, at_ms)
        finally:
            call.keys += browser.keys
            await browser.close()

    async def _offer_to(self, browser: BrowserLeg, at_ms: int) -> DialResult:
        call = self._call
        timeout_ms = self._dial.timeout_s * 1000
        call.audio.write(Track.OUTBOUND, at_ms, ringback(call.script.ringback, timeout_ms))
        await browser.offer(self._offer_parameters())
        self._report_ringing(call.clock.next_ms())
        answer = await self._decision(browser, at_ms + timeout_ms)
        answer_ms = call.clock.next_ms()
        call.audio.cut(Track.OUTBOUND, answer_ms)
        if answer is None:
            return self._end(self._unanswered_status(browser), min(answer_ms, call.ends_ms or answer_ms))
        try:
            await browser.connect(answer)
        except MediaError as error:
            call.warnings.append(str(error))
            return self._end("failed", answer_ms)
        browser.join(call.audio, call.clock, Track.OUTBOUND, call.hang_up)
        self._start_technician(Track.INBOUND, answer_ms)
        return await self._bridge(answer_ms)

    async def _decision(self, browser: BrowserLeg, deadline_ms: int) -> str | None:
        """The browser's SDP; None if it declined, is gone, did nothing until the deadline, or the call ended."""
        waiting: set[asyncio.Task[bool]] = {
            asyncio.create_task(browser.decided.wait()),
            asyncio.create_task(self._call.wait_until(deadline_ms)),
        }
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            return None if browser.over else browser.answer
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    def _unanswered_status(self, browser: BrowserLeg) -> str:
        if browser.declined:
            return "busy"
        return "canceled" if self._call.interrupted.is_set() else "no-answer"

    def _offer_parameters(self) -> dict[str, str]:
        """The call's parameters as the browser shows them."""
        return {
            "CallSid": self._leg.sid,
            "AccountSid": self._call.services.account.sid,
            "From": self._leg.from_,
            "To": self._leg.to,
            "ApiVersion": "2010-04-01",
        }

    def _start_technician(self, speaks: Track, answer_ms: int) -> None:
        voice = self._call.script.technician_voice
        self._call.spawn(run_technician(self._call, voice, speaks=speaks, from_ms=answer_ms))

    def _report_ringing(self, at_ms: int) -> None:
        self._step("ringing", "ringing", at_ms)
        self._call.report_progress(Stage.RINGING, at_ms)
        if self._call.caller is not None:
            self._call.caller.ringing()

    def _child(self) -> Leg:
        call, target = self._call, self._target
        to = target.number if isinstance(target, DialNumber) else f"{CLIENT}{target.identity}"
        sid = call.services.sids.new("CA")
        from_ = self._dial.caller_id or call.leg.from_
        began_at = call.clock.moment(call.clock.now_ms())
        return Leg(sid, from_, to, "outbound-dial", began_at, "queued", parent_sid=call.leg.sid)

    def _lay_voices(self, answer_ms: int) -> None:
        """The agent is the parent leg on an outgoing call, the dialled one on an incoming call."""
        call, script = self._call, self._call.script
        outgoing = script.direction is Direction.OUTGOING
        agent, technician = (Track.INBOUND, Track.OUTBOUND) if outgoing else (Track.OUTBOUND, Track.INBOUND)
        call.audio.write(agent, answer_ms, script.agent_voice)
        call.audio.write(technician, answer_ms, script.technician_voice)
        spoken_ms = max(len(script.agent_voice), len(script.technician_voice)) // 8
        planned_ms = answer_ms + spoken_ms + LAST_WORDS_MS
        call.planned_ms = planned_ms if call.ends_ms is None else min(call.ends_ms, planned_ms)

    async def _bridge(self, answer_ms: int) -> DialResult:
        call = self._call
        self._answered_ms = answer_ms
        self._leg.answered_at = call.clock.moment(answer_ms)
        call.answer(answer_ms)
        self._step("answered", "in-progress", answer_ms)
        call.report_progress(Stage.ANSWERED, answer_ms)
        position_ms = answer_ms
        while call.ends_ms is None or position_ms < call.ends_ms:
            position_ms += _PROGRESS_INTERVAL_MS
            if call.ends_ms is not None:
                position_ms = min(position_ms, call.ends_ms)
            if not await call.wait_until(position_ms):
                break
            call.report_progress(Stage.SPEAKING, position_ms)
        return self._end("completed", self._end_ms())

    def _end_ms(self) -> int:
        """The end of the call, or now if a redirection ends only the dial."""
        call = self._call
        return call.clock.next_ms() if call.ends_ms is None else call.ends_ms

    def _end(self, status: str, at_ms: int) -> DialResult:
        self._leg.ended_at = self._call.clock.moment(at_ms)
        self._step("completed", status, at_ms)
        return DialResult(self._leg.sid, status, self._answered_ms, at_ms)

    def _step(self, event: str, status: str, at_ms: int) -> None:
        """Record the status, and report it to the callback if that subscribed to `event`."""
        self._leg.status = status
        callback = self._target.callback
        if callback is None or event not in callback.events:
            return
        leg = LegEvent(
            leg_sid=LegSid(self._leg.sid),
            account_sid=self._call.services.account.sid,
            status=status,
            sequence_number=SEQUENCE[event],
            timestamp=self._call.clock.moment(at_ms),
            from_=self._leg.from_,
            to=self._leg.to,
            parent_sid=self._call.leg_sid,
            duration_s=self._leg.duration_s,
            sip_code=_SIP_CODES.get(status),
        )
        self._call.post(f"leg {self._leg.sid}", callback, call_status_form(leg))
