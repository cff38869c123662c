"""One call, from the signed voice request to the last callback: requests TwiML and executes it.

Order of events: reference/twilio.md, section 12.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urljoin

from callreel.domain.call import Direction, Track
from callreel.simulator.calls.conference import open_conference
from callreel.simulator.calls.context import CallContext, CarrierServices
from callreel.simulator.calls.dial import LAST_WORDS_MS, SEQUENCE, DialResult, DialRunner, unanswered_status
from callreel.simulator.calls.media import CallMedia
from callreel.simulator.calls.prompts import gather, play
from callreel.simulator.calls.twiml_reader import TwimlError, read_document
from callreel.simulator.calls.twiml_script import (
    Callback,
    Dial,
    DialConference,
    Gather,
    Hangup,
    Pause,
    Play,
    Redirect,
    Reject,
    Say,
    StartRecording,
    StartStream,
    StopRecording,
    StopStream,
    Verb,
)
from callreel.simulator.calls.webhook_forms import LegEvent, call_status_form, dial_action_fields, voice_form
from callreel.simulator.clock import CallClock
from callreel.simulator.scenario import CallOutcome, CallScript, Progress, Stage
from callreel.simulator.signalling.browser_leg import BrowserLeg
from callreel.simulator.sound.technician import run_technician
from callreel.simulator.state import Leg, OutgoingCall, Redirection
from callreel.simulator.webhook_delivery import Delivery
from callreel.twilio.webhooks import CLIENT

log = logging.getLogger(__name__)

_DECLINED = 31002  # the SDK's error for a call that the application did not accept
_MAX_DOCUMENTS = 20
"""Redirects and Dial actions in a row, after which the carrier gives up too."""


@dataclass(frozen=True, slots=True)
class VoiceApplication:
    """Configuration of the TwiML app or the phone number that a call arrives at."""

    voice_url: str
    status_callback: str | None
    application_sid: str
    voice_method: str = "POST"


@dataclass(frozen=True, slots=True)
class Document:
    """A document to execute: its URL, against which others are resolved, and the response with the TwiML."""

    url: str
    response: Delivery


class PlacedCall:
    """Runs once, by `run`."""

    def __init__(
        self,
        services: CarrierServices,
        application: VoiceApplication,
        script: CallScript,
        on_progress: Callable[[Progress], None],
        caller: BrowserLeg | None = None,
        outgoing: tuple[Leg, OutgoingCall] | None = None,
    ) -> None:
        """`caller` is the calling browser, whose media is negotiated already; `outgoing` a call placed over REST."""
        self._services = services
        self._application = application
        self._script = script
        self._on_progress = on_progress
        self._caller = caller
        self._outgoing = outgoing
        self._speed = 1.0 if script.live else services.speed
        self._dialled: DialResult | None = None
        self._refused = True
        self._at_ms = 0
        self._call: CallContext
        self._media: CallMedia

    async def run(self) -> CallOutcome:
        """Returns when the call is over, its recordings are final and every webhook is delivered or given up."""
        state = self._services.state
        try:
            async with asyncio.TaskGroup() as group:
                self._call = call = self._context(group)
                state.legs[call.leg.sid] = call.leg
                self._media = state.live[call.leg.sid] = CallMedia(call)
                await self._execute_documents()
                self._close()
                if self._caller is not None:
                    await self._caller.close()
        finally:
            state.live.pop(self._call.leg.sid, None)
        return self._outcome()

    def _context(self, group: asyncio.TaskGroup) -> CallContext:
        script, services = self._script, self._services
        clock = CallClock(self._speed)
        if self._outgoing is not None:
            leg, order = self._outgoing
            call = CallContext(services, script, leg, clock, group, self._on_progress)
            call.callback, call.time_limit_s = order.callback, order.time_limit_s
            return call
        outgoing = script.direction is Direction.OUTGOING
        from_, to = (
            (CLIENT + script.agent_identity, script.number)
            if outgoing
            else (script.number, script.our_number)
        )
        sid = services.sids.new("CA") if self._caller is None else self._caller.sid
        leg = Leg(sid, from_, to, "inbound", clock.began_at)
        url = self._application.status_callback
        reported = None if url is None else Callback(url, "POST", ("completed",))
        return CallContext(services, script, leg, clock, group, self._on_progress, self._caller, reported)

    async def _execute_documents(self) -> None:
        call = self._call
        document = await (self._first_document() if self._outgoing is None else self._after_answer())
        for _ in range(_MAX_DOCUMENTS):
            if document is not None:
                document = await self._execute(document)
            if (redirection := call.take_redirection()) is not None:
                document = await self._redirected(redirection)
            if document is None or call.ended.is_set():
                return
        self._warn(12200, f"more than {_MAX_DOCUMENTS} documents in one call")

    async def _after_answer(self) -> Document | None:
        """Ring the phone of a call placed over REST; its document once it answers."""
        assert self._outgoing is not None
        call, (leg, order) = self._call, self._outgoing
        ring_ms = min(round(call.script.ring_s * 1000), order.timeout_s * 1000)
        failure = unanswered_status(call, order.timeout_s)
        self._report_leg("initiated", "initiated")
        self._report_leg("ringing", "ringing")
        if not await call.wait_until(ring_ms):
            leg.status = "canceled"
            return None
        self._at_ms = ring_ms
        if failure is not None:
            leg.status = failure
            return None
        self._refused = False
        call.answer(ring_ms)
        if order.recording is not None:
            self._media.begin_recording(order.recording, "OutboundAPI", ring_ms)
        self._report_leg("answered", "in-progress")
        call.report_progress(Stage.ANSWERED, ring_ms)
        return await self._redirected(order.document)

    def _report_leg(self, event: str, status: str) -> None:
        """Report the progress of the parent leg to the callback that subscribed to it."""
        call, leg = self._call, self._call.leg
        leg.status = status
        callback = call.callback
        if callback is None or event not in callback.events:
            return
        form = call_status_form(
            LegEvent(
                leg_sid=call.leg_sid,
                account_sid=self._services.account.sid,
                status=status,
                sequence_number=0 if self._outgoing is None else SEQUENCE[event],
                timestamp=call.clock.moment(call.ends_ms or call.clock.now_ms()),
                from_=leg.from_,
                to=leg.to,
                duration_s=leg.duration_s,
            )
        )
        call.post("call", callback, form | {"Direction": leg.direction})

    async def _first_document(self) -> Document:
        call, script, leg = self._call, self._script, self._call.leg
        outgoing = script.direction is Direction.OUTGOING
        form = voice_form(
            leg_sid=call.leg_sid,
            account_sid=self._services.account.sid,
            from_=leg.from_,
            to=leg.to,
            application_sid=self._application.application_sid if outgoing else None,
            parameters=script.parameters if outgoing else None,
        )
        response = await call.fetch(self._application.voice_url, form, self._application.voice_method)
        call.clock = CallClock(self._speed)  # call time begins with the TwiML
        if self._caller is not None:
            self._caller.join(call.audio, call.clock, Track.INBOUND, call.hang_up)
        if script.hang_up_at_s is not None:
            call.planned_ms = round(script.hang_up_at_s * 1000)
        return Document(self._application.voice_url, response)

    async def _redirected(self, redirection: Redirection) -> Document | None:
        """The document of a redirection over REST."""
        self._at_ms = max(self._at_ms, self._call.clock.next_ms())
        self._answer_leg()
        if redirection.twiml:
            url = self._application.voice_url
            return Document(url, Delivery(url, {}, (200,), redirection.twiml, "text/xml"))
        return await self._follow(redirection.url, redirection.method, {})

    async def _execute(self, document: Document) -> Document | None:
        """Execute one document; the next one, if it leads to one."""
        for verb in self._verbs(document.response):
            if self._call.interrupted.is_set():
                break
            match verb:
                case Dial():
                    following = await self._dial(verb, document.url)
                    if following is not None or verb.action:
                        return following
                case Redirect():
                    return await self._follow(urljoin(document.url, verb.url), verb.method, {})
                case Gather():
                    fields = await self._gather(verb, document.url)
                    if fields is not None:
                        return await self._follow(urljoin(document.url, verb.action), verb.method, fields)
                case Hangup() | Reject():
                    self._call.leg.status = _final_status(verb)
                    break
                case _:
                    await self._perform(verb, document.url)
        return None

    def _verbs(self, response: Delivery) -> Sequence[Verb]:
        """The verbs of a document; an invalid one fails the call."""
        if not response.accepted:
            self._call.leg.status = "failed"
            return ()
        try:
            script = read_document(response.content_type, response.body)
        except TwimlError as error:
            self._warn(error.code, str(error))
            self._call.leg.status = "failed"
            return ()
        for warning in script.warnings:
            self._warn(warning.code, warning.text)
        return script.verbs

    async def _perform(self, verb: Verb, url: str) -> None:
        media = self._media
        match verb:
            case StartStream():
                order = replace(verb, url=_socket_url(url, verb.url))
                start_ms = self._at_ms + round(self._services.stream_delay_s * 1000)
                if order.connects:
                    await self._connect(order, start_ms)
                else:
                    media.begin_stream(order, start_ms)
            case StopStream():
                media.end_stream(verb.name, self._at_ms)
            case StartRecording():
                media.begin_recording(verb, "StartCallRecordingTwiML", self._at_ms)
            case StopRecording():
                media.end_recordings(self._at_ms, name=verb.name)
            case Say() | Play() | Pause():
                self._answer_leg()
                await self._reach(await play(self._call, self._call.leg.sid, verb, self._at_ms, url))
            case _:
                raise AssertionError(f"{verb} ends a document")

    async def _connect(self, order: StartStream, start_ms: int) -> None:
        """Let the application talk with the caller until one of them, or a redirection, ends the stream."""
        call = self._call
        self._answer_leg()
        stream = self._media.begin_stream(order, start_ms)
        if stream is None:
            return
        self._refused = False
        self._let_caller_speak(start_ms)
        ends = {asyncio.create_task(event.wait()) for event in (stream.over, call.interrupted)}
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in ends:
                task.cancel()
        if not stream.over.is_set():
            stream.stop(call.clock.next_ms())
            await stream.over.wait()
        self._at_ms = max(self._at_ms, call.clock.next_ms())
        if call.ends_ms is not None and call.ends_ms <= self._at_ms:
            call.end(call.ends_ms)

    def _let_caller_speak(self, start_ms: int) -> None:
        """The caller of a scripted call speaks, and hangs up; one at a browser does both itself."""
        call, script = self._call, self._script
        voice = script.agent_voice if script.direction is Direction.OUTGOING else script.technician_voice
        if not script.live:
            call.audio.write(Track.INBOUND, start_ms, voice)
            planned_ms = start_ms + len(voice) // 8 + LAST_WORDS_MS
            call.planned_ms = planned_ms if call.ends_ms is None else min(call.ends_ms, planned_ms)
        elif self._caller is None:
            call.spawn(run_technician(call, voice, speaks=Track.INBOUND, from_ms=start_ms))

    async def _gather(self, verb: Gather, url: str) -> dict[str, str] | None:
        """The fields of the request to `action`; None if the document continues, or the call is over."""
        self._answer_leg()
        at_ms, fields = await gather(self._call, self._call.leg.sid, verb, self._at_ms, url)
        await self._reach(at_ms)
        return None if self._call.interrupted.is_set() else fields

    async def _reach(self, at_ms: int) -> None:
        """Let time pass until `at_ms`."""
        self._at_ms = at_ms
        if not await self._call.wait_until(self._at_ms) and self._call.redirection is not None:
            self._at_ms = min(self._at_ms, self._call.clock.next_ms())

    def _answer_leg(self) -> None:
        """Every verb with audio answers the parent leg; a Dial only without `answerOnBridge`."""
        self._call.answer(self._at_ms)

    async def _dial(self, verb: Dial, url: str) -> Document | None:
        """Dial; then the `action` document, if there is one and the call continues."""
        call = self._call
        if verb.conference is not None:
            action_fields = await self._join_conference(verb.conference)
        elif verb.targets:
            action_fields = await self._ring(verb, url)
        else:
            self._warn(13221, "a Dial has no target")
            return None
        if call.redirection is not None or not verb.action:
            return None
        if call.ended.is_set():
            self._finish_leg()
        return await self._follow(urljoin(url, verb.action), verb.method, action_fields)

    async def _ring(self, verb: Dial, url: str) -> dict[str, str]:
        """Ring the targets, until the bridge of one of them ends; the fields of the `action` request."""
        call = self._call
        self._refused = False
        if not verb.answer_on_bridge:
            self._answer_leg()
        dialled = self._dialled = await DialRunner(call, self._media, verb, url).run(self._at_ms)
        self._at_ms = dialled.ended_ms
        if call.redirection is None and dialled.answered_ms is not None:
            call.end(dialled.ended_ms)
        return dialled.action_fields

    async def _join_conference(self, order: DialConference) -> dict[str, str]:
        """Take part until the call leaves; the fields of the `action` request, which do not name another leg."""
        call = self._call
        self._refused = False
        self._answer_leg()
        self._let_caller_speak(self._at_ms)
        await open_conference(call, order.name).run(call, order)
        self._at_ms = max(self._at_ms, call.clock.next_ms())
        return dial_action_fields(child_sid=None, status="answered", duration_s=0, bridged=True)

    async def _follow(self, url: str, method: str, fields: dict[str, str]) -> Document | None:
        """Request a document; None if the call is over by then."""
        call = self._call
        form = voice_form(
            leg_sid=call.leg_sid,
            account_sid=self._services.account.sid,
            from_=call.leg.from_,
            to=call.leg.to,
            status=call.leg.status,
        )
        response = await call.fetch(url, form | {"Direction": call.leg.direction} | fields, method)
        self._at_ms = max(self._at_ms, call.clock.next_ms())
        return None if call.ended.is_set() else Document(url, response)

    def _close(self) -> None:
        call = self._call
        call.end(self._at_ms)
        ends_ms = call.ends_ms or 0
        self._finish_leg()
        self._dismiss_caller()
        call.report_progress(Stage.HUNG_UP, ends_ms)
        self._report_leg("completed", call.leg.status)
        self._services.state.live.pop(call.leg.sid)
        self._media.end_recordings(ends_ms)

    def _dismiss_caller(self) -> None:
        """Notify the browser that its call is over, with an error if the application did not accept it."""
        if self._caller is None:
            return
        self._call.keys += self._caller.keys
        declined = self._call.leg.status == "failed"
        self._caller.ended(_DECLINED if declined else None, "Connection declined" if declined else "")

    def _finish_leg(self) -> None:
        leg = self._call.leg
        leg.ended_at = self._call.clock.moment(self._call.ends_ms or 0)
        if leg.status in ("ringing", "in-progress"):
            unanswered = self._dialled is not None and leg.answered_at is None
            leg.status = "no-answer" if unanswered else "completed"

    def _outcome(self) -> CallOutcome:
        call, dialled = self._call, self._dialled
        return CallOutcome(
            call_sid=call.leg.sid,
            child_sid=None if dialled is None else dialled.child_sid,
            status=call.leg.status,
            refused=self._refused,
            duration_ms=call.ends_ms or 0,
            answered_ms=None if dialled is None else dialled.answered_ms,
            streams=self._media.stream_outcomes,
            recordings=self._media.recording_outcomes,
            deliveries=tuple(call.deliveries),
            warnings=tuple(call.warnings),
            keys=call.keys,
            prompts=tuple(call.prompts),
        )

    def _warn(self, code: int, text: str) -> None:
        self._call.warnings.append(f"{code} {text}")
        log.warning("carrier warning", extra={"code": code, "reason": text, "call_sid": self._call.leg.sid})


def _socket_url(document: str, url: str) -> str:
    """A stream's URL, which may be relative to the document's."""
    return f"wss://{urljoin(document, url).partition('://')[2]}"


def _final_status(verb: Verb) -> str:
    """The status of a leg that the TwiML itself ends."""
    if isinstance(verb, Reject):
        return "busy" if verb.reason == "busy" else "no-answer"
    return "completed"
