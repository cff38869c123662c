"""The audit trail: who did what, as entries that are chained by digests. Pure.

Each entry's SHA-256 covers its content, its number and the digest of the entry before it, so a changed, removed or inserted
entry breaks the chain from there on. An entry names the call, never what was said on it, and no phone number.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from callreel.domain.events import Json
from callreel.domain.ids import CallId


class AuditAction(StrEnum):
    """What was done. A member may be added at any time; entries of removed ones stay readable."""

    SIGNED_IN = "signed_in"
    SIGN_IN_FAILED = "sign_in_failed"
    PASSWORD_ACCEPTED = "password_accepted"
    SECOND_FACTOR_STARTED = "second_factor_started"
    SECOND_FACTOR_ENROLLED = "second_factor_enrolled"
    SECOND_FACTOR_FAILED = "second_factor_failed"
    SECOND_FACTOR_REMOVED = "second_factor_removed"
    SECOND_FACTOR_RESET = "second_factor_reset"
    RECOVERY_CODE_USED = "recovery_code_used"
    RECOVERY_CODES_REPLACED = "recovery_codes_replaced"
    SIGNED_OUT = "signed_out"
    SESSIONS_ENDED = "sessions_ended"
    TOKEN_REFUSED = "token_refused"
    PASSWORD_CHANGED = "password_changed"
    PERSON_ADDED = "person_added"
    PERSON_CHANGED = "person_changed"
    TOKEN_ADDED = "token_added"
    TOKEN_REMOVED = "token_removed"
    CALL_VIEWED = "call_viewed"
    REASON_GIVEN = "reason_given"
    PLAYED = "played"
    LISTENED = "listened"
    DOWNLOADED = "downloaded"
    EXPORTED = "exported"
    SEARCHED = "searched"
    NOTE_ADDED = "note_added"
    NOTE_CHANGED = "note_changed"
    NOTE_REMOVED = "note_removed"
    FILTER_SAVED = "filter_saved"
    FILTER_REMOVED = "filter_removed"
    LABEL_ADDED = "label_added"
    LABEL_CHANGED = "label_changed"
    LABEL_REMOVED = "label_removed"
    CALL_LABELED = "call_labeled"
    CALL_UNLABELED = "call_unlabeled"
    REVIEWED = "reviewed"
    REVIEW_UNDONE = "review_undone"
    ASSIGNED = "assigned"
    UNASSIGNED = "unassigned"
    CORRECTED = "corrected"
    ANALYSIS_ORDERED = "analysis_ordered"
    ANALYSED = "analysed"
    ASKED = "asked"
    ANALYSIS_ITEM_CHANGED = "analysis_item_changed"
    POLICY_CHANGED = "policy_changed"
    SOUND_ADDED = "sound_added"
    REDACTED = "redacted"
    REDACTION_REMOVED = "redaction_removed"
    ORIGINALS_DESTROYED = "originals_destroyed"
    PAUSED = "paused"
    RESUMED = "resumed"
    RECORDING_STOPPED = "recording_stopped"
    RECORDING_ERASED = "recording_erased"
    LANGUAGE_SET = "language_set"
    ROLES_SWAPPED = "roles_swapped"
    HELD = "held"
    RELEASED = "released"
    ERASURE_ORDERED = "erasure_ordered"
    ERASED = "erased"
    DELETED_AT_CARRIER = "deleted_at_carrier"
    IMPORTED = "imported"
    DATA_EXPIRED = "data_expired"
    KEYS_ROTATED = "keys_rotated"
    DATA_ENCRYPTED = "data_encrypted"
    BACKUP_MADE = "backup_made"
    BACKUP_RESTORED = "backup_restored"
    TECHNICIAN_ADDED = "technician_added"
    TECHNICIAN_CHANGED = "technician_changed"
    TECHNICIAN_REMOVED = "technician_removed"
    VOCABULARY_REPLACED = "vocabulary_replaced"
    PHRASE_RULE_ADDED = "phrase_rule_added"
    PHRASE_RULE_CHANGED = "phrase_rule_changed"
    PHRASE_RULE_REMOVED = "phrase_rule_removed"
    SCORECARD_ADDED = "scorecard_added"
    SCORECARD_CHANGED = "scorecard_changed"
    SCORING_BEGUN = "scoring_begun"
    ANSWERS_SUGGESTED = "answers_suggested"
    """By a language model, for a draft."""
    SCORING_DISCARDED = "scoring_discarded"
    SCORED = "scored"
    SCORE_DISPUTED = "score_disputed"
    SCORE_RESOLVED = "score_resolved"
    WORK_RETRIED = "work_retried"
    WORK_SKIPPED = "work_skipped"
    WEBHOOK_ADDED = "webhook_added"
    WEBHOOK_CHANGED = "webhook_changed"
    WEBHOOK_REMOVED = "webhook_removed"
    WEBHOOK_SECRET_ROTATED = "webhook_secret_rotated"
    WEBHOOK_TESTED = "webhook_tested"
    WEBHOOK_SENT_AGAIN = "webhook_sent_again"
    WEBHOOK_DISABLED = "webhook_disabled"
    SETTINGS_CHANGED = "settings_changed"
    TRAIL_EXPORTED = "trail_exported"
    TRAIL_TRIMMED = "trail_trimmed"


ACCESSES: Final = (
    AuditAction.PLAYED, AuditAction.LISTENED, AuditAction.DOWNLOADED, AuditAction.EXPORTED, AuditAction.CALL_VIEWED,
)  # fmt: skip
"""The actions that show a call's content to a person."""


class Via(StrEnum):
    """How the actor reached Callreel: a browser's session, an API token, the command line, or no person."""

    SESSION = "session"
    TOKEN = "token"
    COMMAND_LINE = "command_line"
    SERVER = "server"


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """What an entry is made of. `actor` is a person's name, or `policy`; empty for a stranger.

    `address` is the client's IP address. `subject` is what the action was about, besides the call: a layer, a person's
    name, a token's id. `details` has no floats, whose text differs between databases.
    """

    at: datetime
    action: AuditAction
    actor: str
    via: Via = Via.SERVER
    address: str = ""
    call_id: CallId | None = None
    subject: str = ""
    reason: str = ""
    details: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """An event at its place in the chain. `number` counts from 1 without gaps; the digests are hexadecimal."""

    number: int
    at: datetime
    action: str
    actor: str
    via: str
    address: str
    call_id: CallId | None
    subject: str
    reason: str
    details: Mapping[str, Json]
    previous: str
    digest: str


@dataclass(frozen=True, slots=True)
class Link:
    """A place in the chain: the entry that the next one follows. As text `NUMBER:DIGEST`."""

    number: int
    digest: str

    def __str__(self) -> str:
        return f"{self.number}:{self.digest}"


START: Final = Link(0, "0" * 64)
"""Before the first entry."""


def chained(event: AuditEvent, after: Link) -> AuditEntry:
    """The entry that follows `after`. Times are kept to the microsecond, as both databases do."""
    entry = AuditEntry(
        after.number + 1, event.at, event.action.value, event.actor, event.via.value, event.address,
        event.call_id, event.subject, event.reason, event.details, after.digest, "",
    )  # fmt: skip
    return replace(entry, digest=digest_of(entry))


def digest_of(entry: AuditEntry) -> str:
    """SHA-256 over the entry without its digest, as canonical JSON: sorted keys, no spaces, times in UTC."""
    content = [
        entry.number, entry.at.astimezone(UTC).isoformat(timespec="microseconds"), entry.action, entry.actor,
        entry.via, entry.address, entry.call_id, entry.subject, entry.reason, entry.details, entry.previous,
    ]  # fmt: skip
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check of the chain found: its last intact entry, and the first broken one with the reason."""

    last: Link
    broken: int | None = None
    why: str = ""


def check_chain(entries: Iterable[AuditEntry], after: Link, expected: Link | None = None) -> Checked:
    """Check entries in the order of their numbers, which follow `after`.

    `expected` is a place that was noted earlier: its entry must still be there with this digest. Without such a note
    nothing shows that the newest entries were removed.
    """
    last = after
    if expected is not None and expected.number == after.number and expected.digest != after.digest:
        return Checked(last, after.number, "the entry is not the one that was noted")
    for entry in entries:
        number = last.number + 1
        if entry.number != number:
            return Checked(last, number, "the entry is missing")
        if entry.previous != last.digest:
            return Checked(last, number, "the entry does not follow the one before it")
        if entry.digest != digest_of(entry):
            return Checked(last, number, "the content of the entry was changed")
        if expected is not None and number == expected.number and entry.digest != expected.digest:
            return Checked(last, number, "the entry is not the one that was noted")
        last = Link(number, entry.digest)
    if expected is not None and expected.number > last.number:
        return Checked(last, last.number + 1, "the entry is missing")
    return Checked(last)
