"""Answering the carrier's voice request: check who calls whom, then return the TwiML that records and connects the call.

Whether it is recorded at once, after a notice, after consent, or not at all, is up to the recording policy
(`domain/consent`); notice and consent are handled by `ingest/consent`.

The number that a browser dials is untrusted; the agent is the `From` of the webhook, whose signature is verified. A refused call gets
TwiML that says why and a log line, but no database row.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from callreel.asr.languages import named, normalized
from callreel.cluster.event_publisher import EventPublisher
from callreel.domain.call import CallState, Direction, Role, Topology
from callreel.domain.caller import caller_number
from callreel.domain.consent import Jurisdiction, Mode, OnDecline, Stamp, Subject, Wording, decide
from callreel.domain.events import EventKind, LiveEvent
from callreel.domain.ids import CallId
from callreel.ingest.consent_documents import ConsentStep, consent_event, notice_document, wording_of
from callreel.runtime.clock import Clock
from callreel.runtime.secret_tokens import token_hash
from callreel.runtime.tracing import span
from callreel.store.calls import calls, consent_policies, consents, legs, stream_tokens
from callreel.store.calls.calls import CallRow
from callreel.store.calls.legs import LegRow
from callreel.store.db.database import Database
from callreel.twilio import twiml
from callreel.twilio.connection_overrides import with_overrides
from callreel.twilio.dial_policy import DialPolicy, Refused, country_of, mask
from callreel.twilio.webhooks import VoiceRequest

log = logging.getLogger(__name__)

TOKEN_PARAMETER = "token"
LANGUAGE_PARAMETER = "Language"
"""The parameter with which the phone page may request a language."""
RECORD_PARAMETER = "Record"
"""The parameter with which the phone page may request, by `no`, that the call is not recorded."""
_PREVIEW_TOKEN = "dry-run"


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
    jurisdictions: tuple[Jurisdiction, ...] = ()

    def callback(self, path: str) -> str:
        """The public URL of one of our carrier routes, with the retries that the carrier is to make."""
        url = f"{self.public_url}/twilio/{path}"
        return with_overrides(url, self.callback_retries, self.callback_retry_policy)


def outgoing_document(options: AnswerOptions, number: str, token: str, number_url: str | None = None) -> str:
    """The TwiML of an outgoing call to `number` (E.164); `callreel doctor twiml` prints it.

    Without a token it starts neither a stream nor a recording. `number_url`: the document for the dialled leg.
    """
    return twiml.outgoing_answer(
        stream=_stream(options, token),
        recording=_recording(options, token),
        caller_id=options.caller_id,
        number=number,
        dial_status_callback=options.callback("call-status"),
        answer_on_bridge=options.answer_on_bridge,
        number_url=number_url,
    )


def incoming_document(options: AnswerOptions, token: str) -> str:
    """The TwiML of an incoming call, which rings the agent's browser client. Without a token nothing is recorded."""
    return twiml.incoming_answer(
        stream=_stream(options, token),
        recording=_recording(options, token),
        client_identity=options.incoming_agent,
        dial_status_callback=options.callback("call-status"),
        answer_on_bridge=options.answer_on_bridge,
    )


def _stream(options: AnswerOptions, token: str) -> twiml.StreamOptions | None:
    if not token:
        return None
    return twiml.StreamOptions(
        url=options.stream_url,
        track=options.stream_track,
        status_callback=options.callback("stream-status"),
        parameters={TOKEN_PARAMETER: token},
    )


def _recording(options: AnswerOptions, token: str) -> twiml.RecordingOptions | None:
    if not (options.record and token):
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
            stamp, token = self._store(
                request, agent=self._options.incoming_agent, number=caller_number(request.from_)
            )
            if stamp is not None and (wording := self._wording(stamp)) is not None:
                step = ConsentStep.of(stamp, Direction.INCOMING)
                return notice_document(self._options.callback, self._options.public_url, stamp, wording, step)
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
        stamp, token = self._store(
            request, agent=request.agent_identity, number=decision.e164, language=language
        )
        url = None
        if stamp is not None and stamp.notice:
            url = ConsentStep.of(stamp, Direction.OUTGOING).url(self._options.callback, "notice")
        return outgoing_document(self._options, decision.e164, token, url)

    def preview(self, request: VoiceRequest) -> str:
        """The TwiML of a call like `request` without a recording policy. Stores nothing: its stream would be refused."""
        if request.direction is Direction.INCOMING:
            return incoming_document(self._options, _PREVIEW_TOKEN)
        if not self._options.caller_id:
            return _refusal(request, "This server has no caller ID configured.")
        decision = self._options.dial_policy.decide(request.to)
        if isinstance(decision, Refused):
            return _refusal(request, decision.reason)
        return outgoing_document(self._options, decision.e164, _PREVIEW_TOKEN)

    def _store(
        self, request: VoiceRequest, *, agent: str, number: str, language: str = ""
    ) -> tuple[Stamp | None, str]:
        """Store call, leg, consent stamp and token in one transaction. The token is empty unless streaming may begin."""
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
                stamp = self._stamp(conn, row, request)
                data = {"state": CallState.LIVE, "direction": request.direction}
                events.append(self._publisher.record(conn, LiveEvent(call_id, EventKind.CALL, data)))
                if stamp is not None:
                    consents.insert(conn, stamp)
                    events.append(self._publisher.record(conn, consent_event(stamp)))
            else:
                stamp = consents.of_call(conn, call_id)
            if stamp is not None and stamp.capture_at is None:
                token = ""
            else:
                stream_tokens.issue(
                    conn, token_hash(token), request.leg_sid, call_id, now, self._options.token_ttl_s
                )
        self._publisher.publish(*events)
        fields: dict[str, object] = {"call_id": call_id, "leg_sid": request.leg_sid}
        if known is None:
            log.info(
                "call placed",
                extra=fields | {"direction": request.direction, "agent": agent, "number": mask(number)},
            )
        captured = {"stream": bool(token), "recording": bool(token) and self._options.record}
        log.info("TwiML generated", extra=fields | captured)
        return stamp, token

    def _wording(self, stamp: Stamp) -> Wording | None:
        with self._database.read() as conn:
            return wording_of(conn, stamp)

    def _stamp(self, conn: Connection, call: CallRow, request: VoiceRequest) -> Stamp | None:
        """The decision of the recording policy about a new call; None if it has no rule for it."""
        found = consent_policies.current(conn)
        subject = Subject(call.direction, call.remote_number, country_of(call.remote_number), call.agent)
        decision = decide(
            found.policy, self._options.jurisdictions, subject, language=call.language,
            skip=request.parameters.get(RECORD_PARAMETER) == "no",
        )  # fmt: skip
        if decision.rule is None and not decision.skipped:
            return None
        rule, notice = decision.rule, decision.notice
        # Before a notice on the caller's own leg, and before consent, nothing may start.
        waits = decision.mode is Mode.ASK or (notice is not None and call.direction is Direction.INCOMING)
        return Stamp(
            call_id=call.id,
            mode=decision.mode,
            policy_version=found.version,
            rule=rule.name if rule else "",
            skipped=decision.skipped,
            notice=notice.name if notice else "",
            notice_version=notice.version if notice else 0,
            language=decision.wording.language if decision.wording else "",
            on_decline=rule.on_decline if rule else OnDecline.CONTINUE,
            capture_at=None if waits or decision.mode is Mode.OFF else call.created_at,
        )

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
