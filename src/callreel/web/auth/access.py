"""The table of rights that each route requires; the gate reads it before routing. Pure.

Deny by default: an address that is not in the table is 404 for everybody. A route with a call's id in its path is
only open to people who may see that call; the gate checks that too. Routes under `/twilio/` check the carrier's
signature and are not in the table.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from typing import Final

from starlette.routing import compile_path

from callreel.domain.access import Right
from callreel.domain.audit import AuditAction as Did
from callreel.web.auth.origin import SAFE_METHODS

FORM: Final = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Rule:
    """`needs` None: any signed-in person. `open`: no sign-in needed. `session`: API tokens are refused.
    `enrolling`: also for people who must set up a second factor first. `hashes`: a change makes the server hash a password, so
    it is refused before routing while too many wait for that.

    `audit` is the action of the entry that each request appends to the audit trail; where the methods include GET and
    others, each of the others. With `merged` the requests of a while are one entry. A request that changes something has
    an action; `unaudited` says why not.

    `takes` is the only media type that a body may have, by default JSON in the API and a form elsewhere. Pages of other sites
    can send forms and plain text without asking first, so a route must not read JSON from them.
    """

    verbs: str
    path: str
    needs: Right | None = None
    _: KW_ONLY
    open: bool = False
    session: bool = False
    enrolling: bool = False
    hashes: bool = False
    takes: str | None = None
    audit: Did | None = None
    merged: bool = False
    unaudited: str = ""

    def __post_init__(self) -> None:
        if not (self.methods <= SAFE_METHODS or self.audit or self.unaudited):
            raise ValueError(
                f"{self.verbs} {self.path} changes something: name its action in the audit trail"
            )

    @cached_property
    def methods(self) -> frozenset[str]:
        named = frozenset(self.verbs.split())
        return named | {"HEAD"} if "GET" in named else named

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        return compile_path(self.path)[0]

    @property
    def body(self) -> str:
        """The only media type that a body may have."""
        return self.takes or ("application/json" if self.path.startswith("/api/v1/") else FORM)

    def action(self, method: str) -> Did | None:
        """The action that a request with this method appends to the audit trail."""
        return None if method in SAFE_METHODS and not self.methods <= SAFE_METHODS else self.audit


_READ, _WRITE, _PEOPLE = Right.READ_CALLS, Right.WRITE_CALLS, Right.WRITE_PEOPLE
_HOLD, _ERASE, _HOOKS = Right.HOLD_CALLS, Right.ERASE_CALLS, Right.WRITE_WEBHOOKS
_LABELS = Right.WRITE_LABELS
_SCORED: Final = "/api/v1/calls/{call_id}/scorecards"

RULES: Final[Sequence[Rule]] = (
    Rule("GET", "/health", open=True),
    Rule("GET", "/health/live", open=True),
    Rule("GET", "/health/ready", open=True),
    Rule("GET", "/static/{path:path}", open=True),
    Rule("GET POST", "/sign-in", open=True, hashes=True, audit=Did.SIGNED_IN),
    Rule("GET POST", "/welcome", open=True, audit=Did.PERSON_ADDED),
    Rule("GET", "/sign-in/provider", open=True),
    Rule("GET", "/sign-in/provider/callback", open=True, audit=Did.SIGNED_IN),
    Rule("GET POST", "/sign-in/code", open=True, audit=Did.SIGNED_IN),
    Rule("POST", "/sign-out", session=True, enrolling=True, audit=Did.SIGNED_OUT),
    # Pages
    Rule("GET", "/", _READ),
    Rule("GET", "/calls/{call_id}", _READ, audit=Did.CALL_VIEWED, merged=True),
    Rule("GET POST", "/calls/{call_id}/erase", _ERASE, session=True, audit=Did.ERASURE_ORDERED),
    Rule("POST", "/calls/{call_id}/hold", _HOLD, session=True, audit=Did.HELD),
    Rule("POST", "/calls/{call_id}/release", _HOLD, session=True, audit=Did.RELEASED),
    Rule("POST", "/calls/{call_id}/swap-roles", Right.SWAP_ROLES, session=True, audit=Did.ROLES_SWAPPED),
    Rule("POST", "/calls/{call_id}/reason", _READ, session=True, audit=Did.REASON_GIVEN),
    Rule("POST", "/calls/{call_id}/redactions", Right.REDACT_CALLS, session=True, audit=Did.REDACTED),
    Rule(
        "POST",
        "/calls/{call_id}/redactions/{redaction_id}/remove",
        Right.REDACT_CALLS,
        session=True,
        audit=Did.REDACTION_REMOVED,
    ),
    Rule("GET", "/erasures", _HOLD, session=True),
    Rule("GET", "/retention", _ERASE, session=True),
    Rule("POST", "/retention/erase", _ERASE, session=True, audit=Did.ERASURE_ORDERED),
    Rule("GET", "/wall", _READ),
    Rule("GET", "/statistics", _READ),
    Rule("GET", "/technicians", Right.WRITE_TECHNICIANS),
    Rule("GET", "/people", _PEOPLE),
    Rule("GET", "/settings", Right.READ_SETTINGS),
    Rule("GET", "/me"),
    Rule("GET POST", "/me/second-factor", session=True, enrolling=True, audit=Did.SECOND_FACTOR_STARTED),
    Rule(
        "POST",
        "/me/second-factor/confirm",
        session=True,
        enrolling=True,
        audit=Did.SECOND_FACTOR_ENROLLED,
    ),
    Rule("POST", "/me/second-factor/recovery-codes", session=True, audit=Did.RECOVERY_CODES_REPLACED),
    Rule("POST", "/me/second-factor/remove", session=True, audit=Did.SECOND_FACTOR_REMOVED),
    Rule("POST", "/me/sessions/{session_id}/end", session=True, audit=Did.SESSIONS_ENDED),
    Rule("GET", "/sessions", _PEOPLE, session=True),
    Rule("POST", "/sessions/{session_id}/end", _PEOPLE, session=True, audit=Did.SESSIONS_ENDED),
    Rule("GET", "/docs"),
    Rule("GET", "/openapi.json"),
    # Calls
    Rule("GET", "/events", _READ),
    Rule("GET", "/calls/{call_id}/events", _READ, audit=Did.CALL_VIEWED, merged=True),
    Rule("GET", "/calls/{call_id}/layers/{name}.wav", _READ),
    Rule("GET", "/calls/{call_id}/all.zip", _READ),
    Rule("GET", "/calls/{call_id}/listen", Right.LISTEN_LIVE, session=True),
    Rule("GET", "/calls/{call_id}/transcript.{ending}", _READ, audit=Did.EXPORTED),
    Rule("GET", "/api/v1/calls", _READ),
    Rule("GET", "/api/v1/facets", _READ),
    Rule("GET", "/api/v1/calls/{call_id}", _READ, audit=Did.CALL_VIEWED, merged=True),
    Rule("GET", "/api/v1/calls/{call_id}/vcon", _READ, audit=Did.EXPORTED),
    Rule("GET", "/api/v1/calls/{call_id}/peaks", _READ),
    Rule("GET", "/api/v1/calls/{call_id}/difference", _READ),
    Rule("POST", "/api/v1/calls/{call_id}/notes", _WRITE, audit=Did.NOTE_ADDED),
    Rule("PATCH", "/api/v1/calls/{call_id}/notes/{note_id}", _WRITE, audit=Did.NOTE_CHANGED),
    Rule("DELETE", "/api/v1/calls/{call_id}/notes/{note_id}", _WRITE, audit=Did.NOTE_REMOVED),
    Rule("POST", "/api/v1/calls/{call_id}/pause", _WRITE, audit=Did.PAUSED),
    Rule("POST", "/api/v1/calls/{call_id}/resume", _WRITE, audit=Did.RESUMED),
    Rule("POST", "/api/v1/calls/{call_id}/do-not-record", _WRITE, audit=Did.RECORDING_STOPPED),
    Rule("PUT", "/api/v1/calls/{call_id}/labels/{label_id}", _WRITE, audit=Did.CALL_LABELED),
    Rule("DELETE", "/api/v1/calls/{call_id}/labels/{label_id}", _WRITE, audit=Did.CALL_UNLABELED),
    Rule("GET", "/api/v1/calls/{call_id}/revisions", _READ),
    Rule("POST", "/api/v1/calls/{call_id}/revisions", _WRITE, audit=Did.CORRECTED),
    Rule("PUT", "/api/v1/calls/{call_id}/language", _WRITE, audit=Did.LANGUAGE_SET),
    Rule("POST", "/api/v1/calls/{call_id}/swap-roles", Right.SWAP_ROLES, audit=Did.ROLES_SWAPPED),
    Rule("POST", "/api/v1/calls/{call_id}/reason", _READ, audit=Did.REASON_GIVEN),
    Rule("GET", "/api/v1/calls/{call_id}/accesses", Right.READ_ACCESSES),
    Rule("DELETE", "/api/v1/calls/{call_id}", _ERASE, audit=Did.ERASURE_ORDERED),
    Rule("POST", "/api/v1/calls/{call_id}/redactions", Right.REDACT_CALLS, audit=Did.REDACTED),
    Rule(
        "DELETE",
        "/api/v1/calls/{call_id}/redactions/{redaction_id}",
        Right.REDACT_CALLS,
        audit=Did.REDACTION_REMOVED,
    ),
    Rule("GET", "/api/v1/calls/{call_id}/erasure", _ERASE),
    Rule("GET", "/api/v1/erasures", _ERASE),
    Rule("GET PUT", "/api/v1/calls/{call_id}/hold", _HOLD, audit=Did.HELD),
    Rule("DELETE", "/api/v1/calls/{call_id}/hold", _HOLD, audit=Did.RELEASED),
    Rule("GET", "/api/v1/retention", _ERASE),
    Rule("GET", "/api/v1/subject-access", _ERASE, audit=Did.EXPORTED),
    Rule("POST", "/api/v1/subject-access/erase", _ERASE, audit=Did.ERASURE_ORDERED),
    Rule("GET", "/api/v1/holds", _HOLD),
    Rule("GET", "/api/v1/statistics", _READ),
    Rule("PUT", "/api/v1/calls/{call_id}/review", Right.REVIEW_CALLS, audit=Did.REVIEWED),
    Rule("DELETE", "/api/v1/calls/{call_id}/review", Right.REVIEW_CALLS, audit=Did.REVIEW_UNDONE),
    Rule("PUT", "/api/v1/calls/{call_id}/assignment", Right.REVIEW_CALLS, audit=Did.ASSIGNED),
    Rule("DELETE", "/api/v1/calls/{call_id}/assignment", Right.REVIEW_CALLS, audit=Did.UNASSIGNED),
    Rule("POST", "/api/v1/calls/bulk", _WRITE, unaudited="each changed call has the entry of its change"),
    # Analyses by a language model
    Rule("GET", "/api/v1/calls/{call_id}/analysis", _READ, audit=Did.CALL_VIEWED, merged=True),
    Rule("POST", "/api/v1/calls/{call_id}/analysis", Right.REVIEW_CALLS, audit=Did.ANALYSIS_ORDERED),
    Rule(
        "PUT",
        "/api/v1/calls/{call_id}/analysis/items/{item_id}/state",
        _WRITE,
        audit=Did.ANALYSIS_ITEM_CHANGED,
    ),
    Rule(
        "PUT",
        "/api/v1/calls/{call_id}/analysis/items/{item_id}/text",
        _WRITE,
        audit=Did.ANALYSIS_ITEM_CHANGED,
    ),
    # Questions about many calls to a language model
    Rule("GET", "/ask", _READ),
    Rule("POST", "/api/v1/questions", _READ, audit=Did.ASKED),
    # Saved filters: one's own
    Rule("GET POST", "/api/v1/filters", _READ, session=True, audit=Did.FILTER_SAVED),
    Rule("DELETE", "/api/v1/filters/{filter_id}", _READ, session=True, audit=Did.FILTER_REMOVED),
    # Labels
    Rule("GET", "/labels", _LABELS),
    Rule("GET", "/api/v1/labels", _READ),
    Rule("POST", "/api/v1/labels", _LABELS, audit=Did.LABEL_ADDED),
    Rule("PATCH", "/api/v1/labels/{label_id}", _LABELS, audit=Did.LABEL_CHANGED),
    Rule("DELETE", "/api/v1/labels/{label_id}", _LABELS, audit=Did.LABEL_REMOVED),
    Rule("GET PUT", "/api/v1/labels/{label_id}/instructions", _LABELS, audit=Did.LABEL_CHANGED),
    # People
    Rule("GET", "/api/v1/people/me"),
    Rule("POST", "/api/v1/people/me/password", session=True, audit=Did.PASSWORD_CHANGED),
    Rule("POST", "/api/v1/people/me/sign-out-everywhere", session=True, audit=Did.SESSIONS_ENDED),
    Rule("GET POST", "/api/v1/people", _PEOPLE, audit=Did.PERSON_ADDED),
    Rule("PATCH", "/api/v1/people/{person_id}", _PEOPLE, audit=Did.PERSON_CHANGED),
    Rule(
        "DELETE",
        "/api/v1/people/{person_id}/second-factor",
        _PEOPLE,
        session=True,
        audit=Did.SECOND_FACTOR_RESET,
    ),
    Rule("GET POST", "/api/v1/tokens", Right.WRITE_TOKENS, session=True, audit=Did.TOKEN_ADDED),
    Rule("DELETE", "/api/v1/tokens/{token_id}", Right.WRITE_TOKENS, session=True, audit=Did.TOKEN_REMOVED),
    # The audit trail
    Rule("GET", "/audit", Right.READ_AUDIT),
    Rule("GET", "/audit/trail.{ending}", Right.READ_AUDIT, audit=Did.TRAIL_EXPORTED),
    Rule("GET", "/api/v1/audit", Right.READ_AUDIT),
    # Operations
    Rule("GET", "/report", Right.READ_ALL_CALLS),
    Rule("GET", "/api/v1/report", Right.READ_ALL_CALLS),
    Rule("GET", "/operations", Right.READ_ALL_CALLS),
    Rule("POST", "/operations/retry", Right.EDIT_ALL_NOTES, session=True, audit=Did.WORK_RETRIED),
    Rule(
        "POST",
        "/operations/recordings/{sid}/retry",
        Right.EDIT_ALL_NOTES,
        session=True,
        audit=Did.WORK_RETRIED,
    ),
    Rule(
        "POST",
        "/operations/recordings/{sid}/skip",
        Right.EDIT_ALL_NOTES,
        session=True,
        audit=Did.WORK_SKIPPED,
    ),
    Rule("GET", "/metrics", Right.READ_ALL_CALLS),
    # Placing calls
    Rule("GET", "/api/v1/softphone", Right.PLACE_CALLS),
    Rule(
        "POST",
        "/api/v1/softphone/token",
        Right.PLACE_CALLS,
        session=True,
        unaudited="stores nothing; the calls are rows",
    ),
    Rule("POST", "/api/v1/numbers", unaudited="only checks a number"),
    Rule("GET", "/api/v1/technicians", _READ),
    Rule("POST", "/api/v1/technicians", Right.WRITE_TECHNICIANS, audit=Did.TECHNICIAN_ADDED),
    Rule(
        "PATCH", "/api/v1/technicians/{technician_id}", Right.WRITE_TECHNICIANS, audit=Did.TECHNICIAN_CHANGED
    ),
    Rule(
        "DELETE", "/api/v1/technicians/{technician_id}", Right.WRITE_TECHNICIANS, audit=Did.TECHNICIAN_REMOVED
    ),
    # Recording policy
    Rule("GET", "/consent", Right.WRITE_POLICY),
    Rule("GET PUT", "/api/v1/consent", Right.WRITE_POLICY, audit=Did.POLICY_CHANGED),
    Rule("POST", "/api/v1/consent/preview", Right.WRITE_POLICY, unaudited="stores nothing"),
    Rule("POST", "/api/v1/consent/sounds", Right.WRITE_POLICY, takes="audio/wav", audit=Did.SOUND_ADDED),
    Rule("GET", "/notices/{sha256}.wav", open=True),
    # Webhooks
    Rule("GET", "/webhooks", _HOOKS),
    Rule("GET POST", "/api/v1/webhooks", _HOOKS, audit=Did.WEBHOOK_ADDED),
    Rule("PATCH", "/api/v1/webhooks/{endpoint_id}", _HOOKS, audit=Did.WEBHOOK_CHANGED),
    Rule("DELETE", "/api/v1/webhooks/{endpoint_id}", _HOOKS, audit=Did.WEBHOOK_REMOVED),
    Rule("POST", "/api/v1/webhooks/{endpoint_id}/rotate", _HOOKS, audit=Did.WEBHOOK_SECRET_ROTATED),
    Rule("POST", "/api/v1/webhooks/{endpoint_id}/test", _HOOKS, audit=Did.WEBHOOK_TESTED),
    Rule("GET", "/api/v1/webhooks/{endpoint_id}/deliveries", _HOOKS),
    Rule(
        "POST",
        "/api/v1/webhooks/{endpoint_id}/deliveries/{delivery_id}/send",
        _HOOKS,
        audit=Did.WEBHOOK_SENT_AGAIN,
    ),
    Rule("POST", "/api/v1/webhooks/{endpoint_id}/send-failed", _HOOKS, audit=Did.WEBHOOK_SENT_AGAIN),
    # Phrase rules
    Rule("GET", "/phrase-rules", Right.WRITE_RULES),
    Rule("GET POST", "/api/v1/phrase-rules", Right.WRITE_RULES, audit=Did.PHRASE_RULE_ADDED),
    Rule("PATCH", "/api/v1/phrase-rules/{rule_id}", Right.WRITE_RULES, audit=Did.PHRASE_RULE_CHANGED),
    Rule("DELETE", "/api/v1/phrase-rules/{rule_id}", Right.WRITE_RULES, audit=Did.PHRASE_RULE_REMOVED),
    # Scorecards
    Rule("GET", "/scorecards", Right.WRITE_SCORECARDS),
    Rule("GET", "/scorecards/results", Right.READ_ALL_CALLS),
    Rule("GET", "/scorecards/results.csv", Right.READ_ALL_CALLS, audit=Did.EXPORTED),
    Rule("GET", "/api/v1/scorecards", Right.READ_ALL_CALLS),
    Rule("POST", "/api/v1/scorecards", Right.WRITE_SCORECARDS, audit=Did.SCORECARD_ADDED),
    Rule("GET", "/api/v1/scorecards/results", Right.READ_ALL_CALLS),
    Rule("PATCH", "/api/v1/scorecards/{scorecard_id}", Right.WRITE_SCORECARDS, audit=Did.SCORECARD_CHANGED),
    Rule(
        "POST",
        "/api/v1/scorecards/{scorecard_id}/versions",
        Right.WRITE_SCORECARDS,
        audit=Did.SCORECARD_CHANGED,
    ),
    Rule("GET", _SCORED, _READ, audit=Did.CALL_VIEWED, merged=True),
    Rule("POST", _SCORED, Right.REVIEW_CALLS, audit=Did.SCORING_BEGUN),
    Rule(
        "PUT",
        f"{_SCORED}/{{review_id}}",
        Right.REVIEW_CALLS,
        unaudited="a draft, saved while its author types; its beginning and its end have entries",
    ),
    Rule("DELETE", f"{_SCORED}/{{review_id}}", Right.REVIEW_CALLS, audit=Did.SCORING_DISCARDED),
    Rule(
        "POST",
        f"{_SCORED}/{{review_id}}/suggestions",
        Right.REVIEW_CALLS,
        audit=Did.ANSWERS_SUGGESTED,
    ),  # fmt: skip
    Rule("POST", f"{_SCORED}/{{review_id}}/finish", Right.REVIEW_CALLS, audit=Did.SCORED),
    Rule("POST", f"{_SCORED}/{{review_id}}/dispute", _WRITE, audit=Did.SCORE_DISPUTED),
    Rule("POST", f"{_SCORED}/{{review_id}}/resolve", Right.REVIEW_CALLS, audit=Did.SCORE_RESOLVED),
    # Engines
    Rule("GET", "/api/v1/engines", Right.READ_ALL_CALLS),
    Rule("GET", "/api/v1/vocabulary", _READ),
    Rule("PUT", "/api/v1/vocabulary", Right.WRITE_TECHNICIANS, audit=Did.VOCABULARY_REPLACED),
)


@dataclass(frozen=True, slots=True)
class Found:
    """The rule of a request and the values of its path. `rule` None: the path is in the table, its method is not."""

    rule: Rule | None
    values: Mapping[str, str]


def find(method: str, path: str) -> Found | None:
    """The rule of a request; None when no rule has this path."""
    other_method: Found | None = None
    for rule in RULES:
        match = rule.pattern.match(path)
        if match is None:
            continue
        if method in rule.methods:
            return Found(rule, match.groupdict())
        other_method = other_method or Found(None, match.groupdict())
    return other_method
