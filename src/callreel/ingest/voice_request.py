"""Answering the carrier's voice request: check who calls whom, then return the TwiML that records and connects the call.

The number that a browser dials is untrusted; the agent is the `From` of the webhook, whose signature is verified. A refused call gets
TwiML that says why and a log line, but no database row.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from callreel.asr.languages import named, normalized
from callreel.cluster.event_publisher import EventPublisher
from callreel.domain.call import CallState, Direction, Role, Topology
from callreel.domain.caller import caller_number
from callreel.domain.events import EventKind, LiveEvent
from callreel.domain.ids import CallId
from callreel.runtime.clock import Clock
from callreel.runtime.secret_tokens import token_hash
from callreel.runtime.tracing import span
from callreel.store.calls import calls, legs, stream_tokens
from callreel.store.calls.calls import CallRow
from callreel.store.calls.legs import LegRow
from callreel.store.db.database import Database
from callreel.twilio import twiml
from callreel.twilio.connection_overrides import with_overrides
from callreel.twilio.dial_policy import DialPolicy, Refused, mask
from callreel.twilio.webhooks import VoiceRequest

log = logging.getLogger(__name__)

TOKEN_PARAMETER = "token"
LANGUAGE_PARAMETER = "Language"
"""The parameter with which the phone page may request a language."""


@dataclass(frozen=True, slots=True)
class AnswerOptions:
    """The options of the TwiML; `twilio/twiml` checks them for forbidden combinations."""

    public_url: str
    stream_url: str
    caller_id: str
    incoming_agent: str
    dial_policy: DialPolicy
    stream_track: str = "both_tracks"
    record: bool = True
    recording_channels: str = "dual"
    recording_track: str = "both"
    recording_trim: str = "do-not-trim"
    recording_events: tuple[str, ...] = ("in-progress", "completed", "absent")
    callback_retries: int = 5
    callback_retry_policy: str = "all"
    answer_on_bridge: bool = True
    swap_tracks: bool = False
    redact: bool = False
    """Whether text and audio of new calls are withheld until they are redacted."""
    token_ttl_s: int = 300
    """How long after its TwiML a stream may begin."""

    def callback(self, path: str) -> str:
        """The public URL of one of our carrier routes, with the retries that the carrier is to make."""
        url = f"{self.public_url}/twilio/{path}"
        return with_overrides(url, self.callback_retries, self.callback_retry_policy)


def outgoing_document(options: AnswerOptions, number: str, token: str) -> str:
    """The TwiML of an outgoing call to `number` (E.164); `callreel doctor twiml` prints it."""
    return twiml.outgoing_answer(
        stream=_stream(options, token),
        recording=_recording(options),
        caller_id=options.caller_id,
        number=number,
        dial_status_callback=options.callback("call-status"),
        answer_on_bridge=options.answer_on_bridge,
    )


def incoming_document(options: AnswerOptions, token: str) -> str:
    """The TwiML of an incoming call, which rings the agent's browser client."""
    return twiml.incoming_answer(
        stream=_stream(options, token),
        recording=_recording(options),
        client_identity=options.incoming_agent,
        dial_status_callback=options.callback("call-status"),
        answer_on_bridge=options.answer_on_bridge,
    )


def _stream(options: AnswerOptions, token: str) -> twiml.StreamOptions:
    return twiml.StreamOptions(
        url=options.stream_url,
        track=options.stream_track,
        status_callback=options.callback("stream-status"),
        parameters={TOKEN_PARAMETER: token},
    )


def _recording(options: AnswerOptions) -> twiml.RecordingOptions | None:
    if not options.record:
        return None
    return twiml.RecordingOptions(
        channels=options.recording_channels,
        track=options.recording_track,
        trim=options.recording_trim,
        events=options.recording_events,
        status_callback=options.callback("recording-status"),
    )


class VoiceRequestHandler:
    """Handles `POST /twilio/voice`."""

    def __init__(
        self,
        database: Database,
        publisher: EventPublisher,
        options: AnswerOptions,
        clock: Clock,
        new_call_id: Callable[[], str],
        new_token: Callable[[], str],
        *,
        owner: str | None = None,
        supports: Callable[[str], bool] = lambda language: True,
    ) -> None:
        """`owner`: this process's name; it owns the calls that it answers until their media streams connect.

        `supports`: whether a speech engine supports the language with that code.
        """
        self._owner = owner
        self._supports = supports
        self._database = database
        self._publisher = publisher
        self._options = options
        self._clock = clock
        self._new_call_id = new_call_id
        self._new_token = new_token

    def answer(self, request: VoiceRequest) -> str:
        """The TwiML for `request`, after its call, leg and media token are stored. Blocking.

        A repeated request for the same leg stores no second call, only a new token.
        """
        if request.direction is Direction.INCOMING:
            token = self._store(
                request, agent=self._options.incoming_agent, number=caller_number(request.from_)
            )
            return incoming_document(self._options, token)
        if not request.agent_identity:
            return _refusal(request, "The agent is not identified.")
        if not self._options.caller_id:
            return _refusal(request, "This server has no caller ID configured.")
        decision = self._options.dial_policy.decide(request.to)
        if isinstance(decision, Refused):
            return _refusal(request, decision.reason)
        language = _language(request)
        if not self._supports(language):
            return _refusal(request, f"No speech engine here supports {named(language)}.")
        token = self._store(request, agent=request.agent_identity, number=decision.e164, language=language)
        return outgoing_document(self._options, decision.e164, token)

    def _store(self, request: VoiceRequest, *, agent: str, number: str, language: str = "") -> str:
        """Store call, leg and token in one transaction. Returns the token."""
        token, now = self._new_token(), self._clock.now()
        events: list[LiveEvent] = []
        with (
            span("voice request", request.leg_sid, direction=request.direction),
            self._database.write() as conn,
        ):
            known = calls.by_leg(conn, request.leg_sid)
            call_id = known.id if known else CallId(self._new_call_id())
            if known is None:
                row = self._new_row(request, call_id, agent, number, language, now)
                calls.insert(conn, row)
                role = Role.AGENT if request.direction is Direction.OUTGOING else Role.TECHNICIAN
                legs.upsert(
                    conn,
                    LegRow(
                        sid=request.leg_sid,
                        call_id=call_id,
                        parent_sid=None,
                        role=role,
                        status=request.status,
                    ),
                )
                data = {"state": CallState.LIVE, "direction": request.direction}
                events.append(self._publisher.record(conn, LiveEvent(call_id, EventKind.CALL, data)))
            stream_tokens.issue(
                conn, token_hash(token), request.leg_sid, call_id, now, self._options.token_ttl_s
            )
        self._publisher.publish(*events)
        return token

    def _new_row(
        self, request: VoiceRequest, call_id: CallId, agent: str, number: str, language: str, now: datetime
    ) -> CallRow:
        topology = Topology.of(request.direction, swapped=self._options.swap_tracks)
        return CallRow(
            id=call_id,
            direction=request.direction,
            state=CallState.LIVE,
            agent=agent,
            remote_number=number,
            leg_sid=request.leg_sid,
            inbound_role=topology.inbound,
            created_at=now,
            owner=self._owner,
            language=language,
            redaction_awaited=self._options.redact,
        )


def _refusal(request: VoiceRequest, reason: str) -> str:
    log.warning("call refused: %s", reason, extra={"leg_sid": request.leg_sid, "number": mask(request.to)})
    return twiml.refusal(f"This call cannot be placed. {reason}")


def _language(request: VoiceRequest) -> str:
    """The code of the language that the page requests; empty (the engine's default) if it is missing or unknown."""
    tag = request.parameters.get(LANGUAGE_PARAMETER, "")
    code = normalized(tag)
    if tag and not code:
        log.warning("unknown language ignored language=%r", tag[:20], extra={"leg_sid": request.leg_sid})
    return code
