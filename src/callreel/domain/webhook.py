"""Webhooks: what Callreel reports to other systems, and which live events that follows from. Pure.

A webhook names what happened by ids and addresses; it carries no transcript text and no audio. The receiver fetches those with
an API token, so that roles, redaction and the audit trail apply.
"""

from datetime import timedelta
from enum import StrEnum
from typing import Final

from callreel.domain.call import CallState
from callreel.domain.events import EventKind, Json, LiveEvent
from callreel.domain.recording import CloudState
from callreel.domain.transcript import TranscriptKind


class WebhookEvent(StrEnum):
    """The `type` of a webhook."""

    CALL_STARTED = "call.started"
    CALL_ANSWERED = "call.answered"
    CALL_ENDED = "call.ended"
    RECORDING_STORED = "recording.stored"
    RECORDING_FAILED = "recording.failed"
    TRANSCRIPT_READY = "transcript.ready"
    VERDICT = "verdict"
    PHRASE_ALERT = "phrase_alert"
    """What was said, or was not said, on a call; an `ALERT` is about the operation of Callreel."""
    REVIEW_FINISHED = "review.finished"
    """Of a call, with a scorecard."""
    REVIEW_DISPUTED = "review.disputed"
    REVIEW_RESOLVED = "review.resolved"
    ALERT = "alert"
    CALL_ERASED = "call.erased"
    TEST = "test"
    """Sent on request, to one endpoint only."""


SUBSCRIBABLE: Final = tuple(event for event in WebhookEvent if event is not WebhookEvent.TEST)
WAIT_FOR_REDACTION: Final = frozenset({WebhookEvent.RECORDING_STORED, WebhookEvent.TRANSCRIPT_READY})
"""Their audio and text is withheld while the call's redaction is awaited."""
ROTATION_OVERLAP: Final = timedelta(days=1)
"""How long webhooks are signed with the old secret too."""
DISABLE_AFTER: Final = timedelta(days=5)
"""An endpoint is disabled at a failure when no delivery has succeeded for so long."""


class DeliveryState(StrEnum):
    """`PENDING` is not delivered yet, `FAILED` was given up."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


_FAILED_RECORDINGS: Final = (CloudState.FAILED, CloudState.ABSENT, CloudState.PARKED, CloudState.MISSING)


def webhook_of(event: LiveEvent) -> tuple[WebhookEvent, dict[str, Json]] | None:
    """The webhook that a live event causes, with its data; None for most."""
    data = event.data
    match event.kind:
        case EventKind.CALL:
            return _of_call(data.get("state"), data.get("answered"))
        case EventKind.RECORDING:
            facts = {name: data.get(name) for name in ("recording_sid", "state", "error_code")}
            if data.get("state") == CloudState.STORED:
                return WebhookEvent.RECORDING_STORED, facts
            return (WebhookEvent.RECORDING_FAILED, facts) if data.get("state") in _FAILED_RECORDINGS else None
        case EventKind.TRANSCRIPT if data.get("kind") == TranscriptKind.FINAL:
            return WebhookEvent.TRANSCRIPT_READY, {
                "turns": data.get("turns"),
                "revision": data.get("revision", 0),
            }
        case EventKind.VERDICT:
            return WebhookEvent.VERDICT, {
                "verdict": data.get("verdict"),
                "reasons": reason_codes(data.get("reasons")),
            }
        case EventKind.PHRASE_ALERT:
            # Without the rule's name, which is encrypted at rest; webhooks are not.
            facts = {name: data.get(name) for name in ("rule_id", "trigger", "role", "start_ms", "end_ms")}
            return WebhookEvent.PHRASE_ALERT, {"alert_id": data.get("id"), **facts}
        case EventKind.STAGE if data.get("state") == "parked":
            # Without the reason: the text of an exception may contain what is not to leave this installation.
            return WebhookEvent.ALERT, {"alert": "work_parked", "stage": data.get("stage")}
    return None


def _of_call(state: Json, answered: Json) -> tuple[WebhookEvent, dict[str, Json]] | None:
    if state == CallState.LIVE:
        return WebhookEvent.CALL_STARTED, {}
    if state == CallState.ENDED:
        return WebhookEvent.CALL_ENDED, {}
    return (WebhookEvent.CALL_ANSWERED, {}) if answered else None


def reason_codes(reasons: Json) -> list[Json]:
    """The codes of a verdict's reasons; their sentences may name parties and stay here."""
    if not isinstance(reasons, list | tuple):
        return []
    return [reason["code"] for reason in reasons if isinstance(reason, dict)]
