"""`<Dial>`: rings all targets, bridges the first that answers, and reports each step to the target's callback.

On a live call a `<Client>` is a browser, which is really rung. The other targets are phones: of several, the script's
number or agent answers, otherwise the first. Steps and fields: reference/twilio.md, sections 5.3 and 5.4. Which status a
leg has after another one has answered is not documented; here it is `canceled`.
"""

import asyncio
from dataclasses import dataclass
from urllib.parse import urljoin

from callreel.domain.call import Direction, Track
from callreel.domain.ids import LegSid
from callreel.simulator.calls.callee_document import CalleeDocument
from callreel.simulator.calls.cloud_recording import CloudRecording
from callreel.simulator.calls.context import CallContext
from callreel.simulator.calls.media import CallMedia
from callreel.simulator.calls.twiml_script import Dial, DialClient, DialNumber
from callreel.simulator.calls.webhook_forms import (
    API_VERSION,
    LegEvent,
    call_status_form,
    dial_action_fields,
)
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
    """How a `<Dial>` ended. Positions are call time; `answered_ms` is that of the bridge, None without one."""

    child_sid: str
    status: str
    answered_ms: int | None
    ended_ms: int
    duration_s: int = 0
    recording_url: str | None = None

    @property
    def action_fields(self) -> dict[str, str]:
        """The fields of the request to `action`."""
        return dial_action_fields(
            child_sid=LegSid(self.child_sid),
            status=self.status,
            duration_s=self.duration_s,
            bridged=self.answered_ms is not None,
            recording_url=self.recording_url,
        )


def unanswered_status(call: CallContext, timeout_s: int) -> str | None:
    """The status of a phone that does not answer; None if it answers in time."""
    if call.fault("busy") is not None:
        return "busy"
    answers = call.script.answer and call.script.ring_s < timeout_s and call.fault("no-answer") is None
    return None if answers else "no-answer"


class DialledLeg:
    """One target of a `<Dial>`, and the leg that rings it. `browser` is set for a browser that is rung."""

    def __init__(self, call: CallContext, target: DialNumber | DialClient, caller_id: str | None) -> None:
        to = target.number if isinstance(target, DialNumber) else f"{CLIENT}{target.identity}"
        began_at = call.clock.moment(call.clock.now_ms())
        self.target = target
        self.is_browser = call.script.live and isinstance(target, DialClient)
        self.browser: BrowserLeg | None = None
        self.leg = Leg(
            call.services.sids.new("CA"),
            caller_id or call.leg.from_,
            to,
            "outbound-dial",
            began_at,
            "queued",
            parent_sid=call.leg.sid,
        )
        self._call = call

    @property
    def over(self) -> bool:
        return self.leg.ended_at is not None

    def step(self, event: str, status: str, at_ms: int) -> None:
        """Record the status, and report it to the callback if that subscribed to `event`."""
        call, leg, callback = self._call, self.leg, self.target.callback
        leg.status = status
        if callback is None or event not in callback.events:
            return
        progress = LegEvent(
            leg_sid=LegSid(leg.sid),
            account_sid=call.services.account.sid,
            status=status,
            sequence_number=SEQUENCE[event],
            timestamp=call.clock.moment(at_ms),
            from_=leg.from_,
            to=leg.to,
            parent_sid=call.leg_sid,
            duration_s=leg.duration_s,
            sip_code=_SIP_CODES.get(status),
        )
        call.post(f"leg {leg.sid}", callback, call_status_form(progress))

    def answer(self, at_ms: int) -> None:
        self.leg.answered_at = self._call.clock.moment(at_ms)
        self.step("answered", "in-progress", at_ms)

    async def end(self, status: str, at_ms: int) -> None:
        """Report the end of the leg, and hang up its browser. Does nothing after the first time."""
        if not self.over:
            self.leg.ended_at = self._call.clock.moment(at_ms)
            self.step("completed", status, at_ms)
        await self.close()

    async def close(self) -> None:
        browser, self.browser = self.browser, None
        if browser is not None:
            self._call.keys += browser.keys
            await browser.close()


class DialRunner:
    """Runs one `<Dial>` of a call once. `url` is that of its document."""

    def __init__(self, call: CallContext, media: CallMedia, dial: Dial, url: str) -> None:
        self._call = call
        self._media = media
        self._dial = dial
        self._url = url
        self._legs = [DialledLeg(call, target, dial.caller_id) for target in dial.targets]
        self._recording: CloudRecording | None = None
        self._bridged_ms: int | None = None

    async def run(self, at_ms: int) -> DialResult:
        """From `at_ms` until one party hangs up, the dial times out, or the call ends or is redirected."""
        for dialled in self._legs:
            self._call.services.state.legs[dialled.leg.sid] = dialled.leg
            dialled.step("initiated", "initiated", at_ms)
        if self._dial.records_ringing:
            self._record(at_ms)
        try:
            if any(dialled.is_browser for dialled in self._legs):
                return await self._ring_browsers(at_ms)
            return await self._ring_phones(at_ms)
        finally:
            for dialled in self._legs:
                await dialled.close()

    def _answering_phone(self) -> DialledLeg | None:
        script = self._call.script
        phones = [dialled for dialled in self._legs if not dialled.is_browser]
        expected = (script.number, CLIENT + script.agent_identity)
        return next((phone for phone in phones if phone.leg.to in expected), phones[0] if phones else None)

    async def _ring_phones(self, at_ms: int) -> DialResult:
        call, script, phone = self._call, self._call.script, self._answering_phone()
        assert phone is not None
        ring_ms = min(round(script.ring_s * 1000), self._dial.timeout_s * 1000)
        failure = unanswered_status(call, self._dial.timeout_s)
        answer_ms = at_ms + ring_ms
        call.audio.write(Track.OUTBOUND, at_ms, ringback(script.ringback, ring_ms))
        if await call.wait_until(at_ms + min(_RINGING_AFTER_MS, ring_ms)):
            self._report_ringing(at_ms + _RINGING_AFTER_MS)
        if failure is None and not script.live and phone.target.url is None:
            self._lay_voices(answer_ms)
        if not await call.wait_until(answer_ms):
            return await self._end(phone, "canceled", self._end_ms())
        if failure is not None:
            return await self._end(phone, failure, answer_ms)
        return await self._phone_answers(phone, answer_ms)

    async def _phone_answers(self, phone: DialledLeg, answer_ms: int) -> DialResult:
        bridge_ms = await self._answer(phone, answer_ms)
        if bridge_ms is None:
            return await self._end(phone, "completed", self._end_ms())
        if self._call.script.live:
            self._start_technician(Track.OUTBOUND, bridge_ms)
        elif phone.target.url is not None:
            self._lay_voices(bridge_ms)
        return await self._bridge(phone, bridge_ms)

    async def _ring_browsers(self, at_ms: int) -> DialResult:
        """Ring the registered browsers, each the agent as a child leg, and the phones beside them."""
        call = self._call
        timeout_ms = self._dial.timeout_s * 1000
        phone = self._answering_phone()
        if phone is not None and unanswered_status(call, self._dial.timeout_s) is None:
            timeout_ms = min(timeout_ms, round(call.script.ring_s * 1000))
        else:
            phone = None
        await self._offer_to_browsers(at_ms)
        if all(dialled.over for dialled in self._legs):
            return await self._end(self._legs[0], "no-answer", at_ms)
        call.audio.write(Track.OUTBOUND, at_ms, ringback(call.script.ringback, timeout_ms))
        self._report_ringing(call.clock.next_ms())
        accepted = await self._first_acceptance(at_ms + timeout_ms)
        answer_ms = call.clock.next_ms()
        call.audio.cut(Track.OUTBOUND, answer_ms)
        if accepted is not None:
            return await self._browser_answers(accepted, answer_ms)
        if call.interrupted.is_set():
            return await self._end(self._legs[0], "canceled", min(answer_ms, call.ends_ms or answer_ms))
        if phone is not None:
            return await self._phone_answers(phone, answer_ms)
        return await self._end(self._legs[0], "no-answer", answer_ms)

    async def _offer_to_browsers(self, at_ms: int) -> None:
        switchboard = self._call.services.switchboard
        for dialled in self._legs:
            if isinstance(dialled.target, DialClient) and dialled.is_browser:
                if switchboard is not None:
                    dialled.browser = switchboard.leg_for(dialled.target.identity, dialled.leg.sid)
                if dialled.browser is None:
                    await dialled.end("no-answer", at_ms)
                else:
                    await dialled.browser.offer(self._offer_parameters(dialled.leg))

    async def _first_acceptance(self, deadline_ms: int) -> DialledLeg | None:
        """The first browser that accepts; None if all are over, the deadline passes, or the call ends or continues
        elsewhere. Reports each browser that declines meanwhile."""
        call = self._call
        deadline = asyncio.create_task(call.wait_until(deadline_ms))
        decisions: dict[asyncio.Task[bool], DialledLeg] = {
            asyncio.create_task(dialled.browser.decided.wait()): dialled
            for dialled in self._legs
            if dialled.browser is not None
        }
        waiting: set[asyncio.Task[bool]] = {deadline, *decisions}
        try:
            while not all(dialled.over for dialled in self._legs):
                decided, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for dialled in (decisions[task] for task in decided - {deadline}):
                    browser = dialled.browser
                    if browser is not None and not browser.over and browser.answer is not None:
                        return dialled
                    status = "busy" if browser is not None and browser.declined else "no-answer"
                    await dialled.end(status, call.clock.next_ms())
                if deadline in decided:
                    break
            return None
        finally:
            for task in (deadline, *decisions):
                task.cancel()
            await asyncio.gather(deadline, *decisions, return_exceptions=True)

    async def _browser_answers(self, dialled: DialledLeg, answer_ms: int) -> DialResult:
        call, browser = self._call, dialled.browser
        assert browser is not None and browser.answer is not None
        try:
            await browser.connect(browser.answer)
        except MediaError as error:
            call.warnings.append(str(error))
            return await self._end(dialled, "failed", answer_ms)
        bridge_ms = await self._answer(dialled, answer_ms)
        if bridge_ms is None:
            return await self._end(dialled, "completed", self._end_ms())
        browser.join(call.audio, call.clock, Track.OUTBOUND, call.hang_up)
        self._start_technician(Track.INBOUND, bridge_ms)
        return await self._bridge(dialled, bridge_ms)

    def _offer_parameters(self, leg: Leg) -> dict[str, str]:
        """The call's parameters as the browser shows them."""
        return {
            "CallSid": leg.sid,
            "AccountSid": self._call.services.account.sid,
            "From": leg.from_,
            "To": leg.to,
            "ApiVersion": API_VERSION,
        }

    def _start_technician(self, speaks: Track, answer_ms: int) -> None:
        voice = self._call.script.technician_voice
        self._call.spawn(run_technician(self._call, voice, speaks=speaks, from_ms=answer_ms))

    def _report_ringing(self, at_ms: int) -> None:
        for dialled in self._legs:
            if not dialled.over:
                dialled.step("ringing", "ringing", at_ms)
        self._call.report_progress(Stage.RINGING, at_ms)
        if self._call.caller is not None:
            self._call.caller.ringing()

    def _record(self, at_ms: int) -> None:
        if self._dial.recording is not None:
            self._recording = self._media.begin_recording(self._dial.recording, "DialVerb", at_ms)

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

    async def _answer(self, dialled: DialledLeg, answer_ms: int) -> int | None:
        """Cancel the other legs and run the target's document; the position of the bridge, None if there is none."""
        dialled.answer(answer_ms)
        for other in self._legs:
            if other is not dialled:
                await other.end("canceled", answer_ms)
        if dialled.target.url is None:
            return answer_ms
        return await CalleeDocument(self._call, dialled.leg).run(urljoin(self._url, dialled.target.url))

    async def _bridge(self, dialled: DialledLeg, bridge_ms: int) -> DialResult:
        call = self._call
        self._bridged_ms = bridge_ms
        call.answer(bridge_ms)
        if not self._dial.records_ringing:
            self._record(bridge_ms)
        call.report_progress(Stage.ANSWERED, bridge_ms)
        position_ms = bridge_ms
        while call.ends_ms is None or position_ms < call.ends_ms:
            position_ms += _PROGRESS_INTERVAL_MS
            if call.ends_ms is not None:
                position_ms = min(position_ms, call.ends_ms)
            if not await call.wait_until(position_ms):
                break
            call.report_progress(Stage.SPEAKING, position_ms)
        return await self._end(dialled, "completed", self._end_ms())

    def _end_ms(self) -> int:
        """The end of the call, or now if only the dial ends."""
        call = self._call
        return call.clock.next_ms() if call.ends_ms is None else call.ends_ms

    async def _end(self, dialled: DialledLeg, status: str, at_ms: int) -> DialResult:
        """End all legs that have not ended. `dialled` is the one that the result is about."""
        for each in self._legs:
            await each.end(status, at_ms)
        recording, recording_url = self._recording, None
        if recording is not None:
            self._media.stop_recording(recording, at_ms)
            recording_url = self._call.services.recording_url(recording.sid)
        leg = dialled.leg
        return DialResult(leg.sid, leg.status, self._bridged_ms, at_ms, leg.duration_s, recording_url)
