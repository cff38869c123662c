"""One call, from the signed voice request to the last callback: runs the TwiML that it is given.

What is said by `<Say>` and `<Play>` is not synthesised: silence as long as it would last stands for it. Streams and
recordings are `forks`' business. Order of events: reference/twilio.md, section 12.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urljoin

from callreel.domain.call import Direction, Track
from callreel.simulator.calls.context import CallContext, CarrierServices
from callreel.simulator.calls.dial import DialResult, DialRunner
from callreel.simulator.calls.media import CallMedia
from callreel.simulator.calls.twiml_reader import TwimlError, read_twiml
from callreel.simulator.calls.twiml_script import (
    Callback,
    Dial,
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
from callreel.simulator.calls.webhook_forms import call_status_form, voice_form
from callreel.simulator.clock import CallClock
from callreel.simulator.scenario import CallOutcome, CallScript, Progress, Stage
from callreel.simulator.signalling.browser_leg import BrowserLeg
from callreel.simulator.state import Leg
from callreel.simulator.webhook_delivery import Delivery
from callreel.twilio.webhooks import CLIENT

log = logging.getLogger(__name__)

_SPOKEN_MS_PER_CHARACTER = 60
_PLAYED_MS = 1000
_DECLINED = 31002  # what the SDK is told of a call that the application did not accept
_MAX_DOCUMENTS = 20
"""Redirects and Dial actions in a row, after which the carrier would give up too."""


@dataclass(frozen=True, slots=True)
class VoiceApplication:
    """Where a call comes in: the application's or number's configuration."""

    voice_url: str
    status_callback: str | None
    application_sid: str


class PlacedCall:
    """Run once by `run`."""

    def __init__(
        self,
        exchange: CarrierServices,
        entry: VoiceApplication,
        script: CallScript,
        on_progress: Callable[[Progress], None],
        caller: BrowserLeg | None = None,
    ) -> None:
        """`caller` is a browser that called, already met."""
        self._exchange = exchange
        self._entry = entry
        self._script = script
        self._on_progress = on_progress
        self._caller = caller
        self._speed = 1.0 if script.live else exchange.speed
        self._dialled: DialResult | None = None
        self._refused = True
        self._at_ms = 0
        self._call: CallContext
        self._forks: CallMedia

    async def run(self) -> CallOutcome:
        """Returns when the call is over, its recordings are final and every webhook was delivered or given up."""
        ledger = self._exchange.ledger
        try:
            async with asyncio.TaskGroup() as group:
                self._call = call = self._conversation(group)
                ledger.legs[call.leg.sid] = call.leg
                self._forks = ledger.live[call.leg.sid] = CallMedia(call)
                await self._converse()
                self._close()
                if self._caller is not None:
                    await self._caller.close()
        finally:
            ledger.live.pop(self._call.leg.sid, None)
        return self._outcome()

    def _conversation(self, group: asyncio.TaskGroup) -> CallContext:
        script, exchange = self._script, self._exchange
        clock = CallClock(self._speed)
        outgoing = script.direction is Direction.OUTGOING
        from_, to = (
            (CLIENT + script.agent_identity, script.number)
            if outgoing
            else (script.number, script.our_number)
        )
        sid = exchange.sids.new("CA") if self._caller is None else self._caller.sid
        leg = Leg(sid, from_, to, "inbound", clock.began_at)
        return CallContext(exchange, script, leg, clock, group, self._on_progress, self._caller)

    async def _converse(self) -> None:
        call, script, leg = self._call, self._script, self._call.leg
        outgoing = script.direction is Direction.OUTGOING
        form = voice_form(
            leg_sid=call.leg_sid,
            account_sid=self._exchange.account.sid,
            from_=leg.from_,
            to=leg.to,
            application_sid=self._entry.application_sid if outgoing else None,
            parameters=script.parameters if outgoing else None,
        )
        answer = await call.fetch(self._entry.voice_url, form)
        call.clock = CallClock(self._speed)  # call time begins with the TwiML
        if self._caller is not None:
            self._caller.join(call.audio, call.clock, Track.INBOUND, Track.OUTBOUND, call.hang_up)
        if script.hang_up_at_s is not None:
            call.ends_ms = round(script.hang_up_at_s * 1000)
        url: str | None = self._entry.voice_url
        for _ in range(_MAX_DOCUMENTS):
            if url is None:
                return
            url, answer = await self._run(url, answer)
        call.warnings.append(f"12200 more than {_MAX_DOCUMENTS} documents in one call")

    async def _run(self, url: str, answer: Delivery) -> tuple[str | None, Delivery]:
        """Run one document; the address and answer of the next one, if it leads to one."""
        for verb in self._verbs(answer):
            if self._call.over.is_set():
                break
            match verb:
                case Dial():
                    followed = await self._dial(verb, url)
                    if followed is not None or verb.action:
                        return followed or (None, answer)
                case Redirect():
                    return await self._follow(urljoin(url, verb.url), verb.method, {})
                case Hangup() | Reject():
                    self._call.leg.status = _ending(verb)
                    break
                case _:
                    await self._do(verb, url)
        return None, answer

    def _verbs(self, answer: Delivery) -> Sequence[Verb]:
        if not answer.accepted:
            self._call.leg.status = "failed"
            return ()
        if "xml" not in answer.content_type:
            self._warn(12300, f"a document is {answer.content_type or 'of no type'}, expected text/xml")
            self._call.leg.status = "failed"
            return ()
        try:
            script = read_twiml(answer.body)
        except TwimlError as error:
            self._warn(error.code, str(error))
            self._call.leg.status = "failed"
            return ()
        for warning in script.warnings:
            self._warn(warning.code, warning.text)
        return script.verbs

    async def _do(self, verb: Verb, url: str) -> None:
        forks = self._forks
        match verb:
            case StartStream():
                order = replace(verb, url=_socket_url(url, verb.url))
                forks.begin_stream(order, self._at_ms + round(self._exchange.stream_delay_s * 1000))
            case StopStream():
                forks.end_stream(verb.name, self._at_ms)
            case StartRecording():
                forks.begin_recording(verb, "StartCallRecordingTwiML", self._at_ms)
            case StopRecording():
                forks.end_recordings(self._at_ms, name=verb.name)
            case Say():
                await self._pass(len(verb.text) * verb.loop * _SPOKEN_MS_PER_CHARACTER)
            case Play():
                await self._pass(_PLAYED_MS * verb.loop)
            case Pause():
                await self._pass(verb.length_s * 1000)
            case _:
                raise AssertionError(f"{verb} ends a document")

    async def _pass(self, duration_ms: int) -> None:
        """Something that only takes time."""
        self._answer_leg()
        self._at_ms += duration_ms
        await self._call.wait_until(self._at_ms)

    def _answer_leg(self) -> None:
        """Whatever the parent leg hears answers it; a Dial only where it is not to wait for the bridge."""
        self._call.answer(self._at_ms)

    async def _dial(self, verb: Dial, url: str) -> tuple[str | None, Delivery] | None:
        """Dial, and go to the `action` document if there is one and the call still goes on."""
        call = self._call
        if not verb.targets:
            self._warn(13221, "a Dial has nobody to dial")
            return None
        if len(verb.targets) > 1:
            log.info("stand-in carrier: a Dial has several targets, the first one is dialled")
        self._refused = False
        if not verb.answer_on_bridge:
            self._answer_leg()
        dialled = self._dialled = await DialRunner(call, verb).run(self._at_ms)
        self._at_ms = dialled.ended_ms
        if dialled.answered_ms is not None:
            call.end(dialled.ended_ms)
        if not verb.action:
            return None
        if call.over.is_set():
            self._finish_leg()
        return await self._follow(urljoin(url, verb.action), verb.method, dialled.action_fields)

    async def _follow(self, url: str, method: str, fields: dict[str, str]) -> tuple[str | None, Delivery]:
        call = self._call
        form = voice_form(
            leg_sid=call.leg_sid,
            account_sid=self._exchange.account.sid,
            from_=call.leg.from_,
            to=call.leg.to,
            status=call.leg.status,
        )
        answer = await call.fetch(url, form | fields, method)
        self._at_ms = max(self._at_ms, call.clock.next_ms())
        return (None if call.over.is_set() else url), answer

    def _close(self) -> None:
        call = self._call
        call.end(self._at_ms)
        ends_ms = call.ends_ms or 0
        self._finish_leg()
        self._dismiss_caller()
        call.tell(Stage.HUNG_UP, ends_ms)
        form = call_status_form(
            leg_sid=call.leg_sid,
            account_sid=self._exchange.account.sid,
            status=call.leg.status,
            sequence_number=0,
            timestamp=call.clock.moment(ends_ms),
            from_=call.leg.from_,
            to=call.leg.to,
            duration_s=call.leg.duration_s,
        )
        if self._entry.status_callback is not None:
            call.post("call", Callback(self._entry.status_callback, "POST"), form)
        self._exchange.ledger.live.pop(call.leg.sid)
        self._forks.end_recordings(ends_ms)

    def _dismiss_caller(self) -> None:
        """Tell the browser that its call is over, and of an error that is not its own."""
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
            streams=self._forks.stream_outcomes,
            recordings=self._forks.recording_outcomes,
            deliveries=tuple(call.deliveries),
            warnings=tuple(call.warnings),
            keys=call.keys,
        )

    def _warn(self, code: int, text: str) -> None:
        self._call.warnings.append(f"{code} {text}")
        log.warning("stand-in carrier: %s %s", code, text, extra={"call_sid": self._call.leg.sid})


def _socket_url(document: str, url: str) -> str:
    """A stream's URL, which may be relative to the document's."""
    return f"wss://{urljoin(document, url).partition('://')[2]}"


def _ending(verb: Verb) -> str:
    """The status of a leg that the TwiML itself ends."""
    if isinstance(verb, Reject):
        return "busy" if verb.reason == "busy" else "no-answer"
    return "completed"
