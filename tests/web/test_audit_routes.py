"""Each route that changes something writes its entry of the audit trail. The routes are those of the rules."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyotp
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import delete, update

from callreel.domain.access import Right
from callreel.domain.ids import RecordingSid
from callreel.domain.transcript import TranscriptKind
from callreel.domain.webhook import WebhookEvent
from callreel.domain.work import Workflow
from callreel.runtime.secret_tokens import token_hash
from callreel.scoring.dispute import ReviewState
from callreel.store.calls import expired
from callreel.store.db.tables import calls as call_table
from callreel.store.db.tables import sessions as session_table
from callreel.store.db.tables import users as user_table
from callreel.store.db.tables import webhook_deliveries
from callreel.store.insight import analyses
from callreel.store.people import second_factors, users, welcome_tokens
from callreel.store.transcripts import transcripts
from callreel.store.webhooks import deliveries, endpoints
from callreel.web.auth.access import RULES, Rule
from callreel.web.auth.origin import SAFE_METHODS
from tests.support.fake_engine import FakeEngine
from tests.support.rows import a_found_item, a_review, an_analysis_row, audit_entries
from tests.support.seed import DONE, LIVE, NOON, Seed, wav_bytes
from tests.web.conftest import PASSWORD, As

SID = RecordingSid("RE" + DONE * 2 + "00000000")
CALL, API = "/calls/{call_id}", "/api/v1/calls/{call_id}"
NOTE = {"kind": "mark", "at_ms": 1}
REASON = {"reason": "case 17"}
STRETCH = {"role": "agent", "start_ms": 0, "end_ms": 9000}
HOOKS, HOOK = "/api/v1/webhooks", "/api/v1/webhooks/{endpoint_id}"
ENDPOINT = {"name": "crm", "url": "https://crm.example/in", "events": ["verdict"]}
ADDED = (("POST", HOOKS, ENDPOINT),)
DELIVERY = "msg_" + "0" * 24
FILTER = {"name": "open", "query": "reviewed=false"}
LABEL = {"name": "complaint", "color": "red"}
LABEL_ADDED = (("POST", "/api/v1/labels", LABEL),)
TECHNICIAN = {"name": "Robin", "number": "+12125550144"}


@dataclass(frozen=True)
class Sent:
    """A request that succeeds: its body, and what has to be there before."""

    json: Any = None
    data: Any = None
    before: tuple[tuple[str, str, Any], ...] = ()
    prepare: Callable[[Seed, FakeEngine], object] = lambda place, engine: None
    details: dict[str, Any] = field(default_factory=dict)
    call: str = DONE
    content: bytes | None = None
    code: bool = False


def no_account(place: Seed, engine: FakeEngine) -> None:
    with place.database.write() as conn:
        conn.execute(delete(user_table))
        welcome_tokens.issue(conn, token_hash("link"), engine.clock.now(), 10**9)


def an_analysis(place: Seed, engine: FakeEngine) -> None:
    with place.database.write() as conn:
        analyses.add(conn, an_analysis_row(DONE), [a_found_item()])


def a_draft_of_a_silent_call(place: Seed, engine: FakeEngine) -> None:
    a_draft(place, engine)
    with place.database.write() as conn:
        transcripts.put(conn, DONE, TranscriptKind.FINAL, "faster-whisper", "base.en", [])


def no_text(place: Seed, engine: FakeEngine) -> None:
    with place.database.write() as conn:
        expired.delete_text(conn, DONE)


def no_streams(place: Seed, engine: FakeEngine) -> None:
    with place.database.write() as conn:
        conn.exec_driver_sql("DELETE FROM streams")


def not_answered(place: Seed, engine: FakeEngine) -> None:
    with place.database.write() as conn:
        conn.execute(update(call_table).values(answered_at=None))


def parked(place: Seed, engine: FakeEngine) -> None:
    engine.park(Workflow.DOWNLOAD, f"{SID}#1", "download", "the carrier answered 500")


APP = pyotp.TOTP(pyotp.random_base32())


def session_that_waits(place: Seed, engine: FakeEngine) -> None:
    enrolled(place, engine)
    with place.database.write() as conn:
        conn.execute(update(session_table).values(second_factor_due=True))


def second_factor(place: Seed, name: str, *, confirmed: bool = True) -> None:
    with place.database.write() as conn:
        user = users.get_by_name(conn, name)
        assert user is not None
        second_factors.start(conn, user.id, APP.secret)
        if confirmed:
            second_factors.confirm(conn, user.id, datetime.now(UTC))
            second_factors.replace_recovery_codes(conn, user.id, [token_hash("recovery")])


def enrolled(place: Seed, engine: FakeEngine) -> None:
    second_factor(place, "ada")


def enrolling(place: Seed, engine: FakeEngine) -> None:
    second_factor(place, "ada", confirmed=False)


def other_enrolled(place: Seed, engine: FakeEngine) -> None:
    second_factor(place, "sam")


def a_delivery(place: Seed, engine: FakeEngine) -> None:
    with place.database.write() as conn:
        endpoints.add(
            conn, "crm", "https://crm.example/in", [WebhookEvent.VERDICT], "whsec_AAAA", NOON, numbers=False
        )
        delivery_id = deliveries.order(conn, 1, WebhookEvent.VERDICT, {}, NOON, DONE)
        conn.execute(
            update(webhook_deliveries).values(id=DELIVERY).where(webhook_deliveries.c.id == delivery_id)
        )


def a_draft(place: Seed, engine: FakeEngine) -> None:
    a_review(place.database, DONE, "ada")


def own_finished(place: Seed, engine: FakeEngine) -> None:
    a_review(place.database, DONE, "sam", ReviewState.FINISHED)
    with place.database.write() as conn:
        ada = users.get_by_name(conn, "ada")
        assert ada is not None
        conn.execute(update(call_table).where(call_table.c.id == DONE).values(agent=ada.identity))


def disputed(place: Seed, engine: FakeEngine) -> None:
    a_review(place.database, DONE, "sam", ReviewState.DISPUTED, "maria")


SCORED = f"{API}/scorecards"
SCORECARD = {"name": "Service", "questions": [{"text": "Greeted?", "kind": "yes_no", "points": 5}]}
PHRASE_RULE = {"name": "Refund", "phrases": ["refund*"]}
REQUESTS: dict[tuple[str, str], Sent] = {
    ("POST", "/sign-in"): Sent(data={"name": "ada", "password": PASSWORD}),
    ("POST", "/sign-in/code"): Sent(code=True, prepare=session_that_waits, details={"second_factor": "app"}),
    ("POST", "/me/second-factor"): Sent(data={"password": PASSWORD}),
    ("POST", "/me/second-factor/confirm"): Sent(code=True, prepare=enrolling),
    ("POST", "/me/second-factor/recovery-codes"): Sent(code=True, prepare=enrolled),
    ("POST", "/me/second-factor/remove"): Sent(code=True, prepare=enrolled),
    ("DELETE", "/api/v1/people/{person_id}/second-factor"): Sent(prepare=other_enrolled),
    ("POST", "/welcome"): Sent(
        data={"token": "link", "name": "kim", "password": PASSWORD},
        prepare=no_account,
        details={"role": "administrator"},
    ),
    ("POST", "/sign-out"): Sent(),
    ("POST", f"{CALL}/erase"): Sent(data=REASON, details={"at_carrier": True}),
    ("POST", f"{CALL}/hold"): Sent(data=REASON),
    ("POST", f"{CALL}/release"): Sent(data=REASON, before=(("PUT", f"{API}/hold", REASON),)),
    ("POST", f"{CALL}/swap-roles"): Sent(data={"swapped": "true"}, details={"swapped": True}),
    ("POST", f"{CALL}/reason"): Sent(data=REASON),
    ("POST", f"{API}/notes"): Sent(NOTE, details={"kind": "mark"}),
    ("PATCH", f"{API}/notes/{{note_id}}"): Sent({"at_ms": 2}, before=(("POST", f"{API}/notes", NOTE),)),
    ("DELETE", f"{API}/notes/{{note_id}}"): Sent(before=(("POST", f"{API}/notes", NOTE),)),
    ("PUT", f"{API}/labels/{{label_id}}"): Sent(before=LABEL_ADDED, details={"label": "complaint"}),
    ("DELETE", f"{API}/labels/{{label_id}}"): Sent(
        before=(*LABEL_ADDED, ("PUT", f"{API}/labels/1", None)), details={"label": "complaint"}
    ),
    ("POST", f"{API}/analysis"): Sent(),
    ("PUT", f"{API}/analysis/items/{{item_id}}/state"): Sent(
        {"state": "rejected"}, prepare=an_analysis, details={"kind": "summary", "state": "rejected"}
    ),
    ("PUT", f"{API}/analysis/items/{{item_id}}/text"): Sent(
        {"text": "Mine."}, prepare=an_analysis, details={"state": "approved", "edited": True}
    ),
    ("PUT", f"{API}/review"): Sent(),
    ("DELETE", f"{API}/review"): Sent(before=(("PUT", f"{API}/review", None),)),
    ("PUT", f"{API}/assignment"): Sent({"person": "sam"}, details={"person": "sam"}),
    ("DELETE", f"{API}/assignment"): Sent(before=(("PUT", f"{API}/assignment", {"person": "sam"}),)),
    ("POST", "/api/v1/filters"): Sent(FILTER),
    ("DELETE", "/api/v1/filters/{filter_id}"): Sent(before=(("POST", "/api/v1/filters", FILTER),)),
    ("POST", "/api/v1/labels"): Sent(LABEL, details={"label": "complaint"}),
    ("PATCH", "/api/v1/labels/{label_id}"): Sent(
        {"name": "praise"}, before=LABEL_ADDED, details={"label": "praise", "before": "complaint"}
    ),
    ("POST", "/api/v1/questions"): Sent(
        {"question": "Which part failed?"},
        prepare=no_text,
        details={"model": "test-model", "calls": 0, "original": False},
    ),
    ("PUT", "/api/v1/labels/{label_id}/instructions"): Sent(
        {"base": 0, "text": "Name the part."},
        before=LABEL_ADDED,
        details={"label": "complaint", "version": 1},
    ),
    ("DELETE", "/api/v1/labels/{label_id}"): Sent(before=LABEL_ADDED, details={"calls": 0}),
    ("POST", f"{API}/pause"): Sent(call=LIVE, prepare=no_streams, details={"cause": "person"}),
    ("POST", f"{API}/do-not-record"): Sent(
        call=LIVE, prepare=not_answered, details={"seconds_after_answer": None}
    ),
    ("POST", f"{API}/resume"): Sent(
        call=LIVE, prepare=no_streams, before=(("POST", f"{API}/pause", {}),), details={"cause": "person"}
    ),
    ("POST", f"{CALL}/redactions"): Sent(
        data={"role": "agent", "start_s": 0, "end_s": 9}, details={"entity": "other"}
    ),
    ("POST", "/retention/erase"): Sent(data={"number": "+12125550123"}),
    ("POST", "/api/v1/subject-access/erase"): Sent({"number": "+12125550123"}),
    ("POST", f"{CALL}/redactions/{{redaction_id}}/remove"): Sent(
        before=(("POST", f"{API}/redactions", STRETCH),)
    ),
    ("POST", f"{API}/redactions"): Sent(STRETCH, details={"span_ms": [0, 9000]}),
    ("DELETE", f"{API}/redactions/{{redaction_id}}"): Sent(before=(("POST", f"{API}/redactions", STRETCH),)),
    ("POST", f"{API}/revisions"): Sent(
        {"base": 0, "changes": [{"turn": 0, "text": "hello"}]}, details={"revision": 1, "changes": 1}
    ),
    ("PUT", f"{API}/language"): Sent({"language": "de"}),
    ("POST", f"{API}/swap-roles"): Sent({"swapped": True}, details={"swapped": True}),
    ("POST", f"{API}/reason"): Sent(REASON),
    ("DELETE", API): Sent(details={"at_carrier": True}),
    ("PUT", f"{API}/hold"): Sent(REASON),
    ("DELETE", f"{API}/hold"): Sent(before=(("PUT", f"{API}/hold", REASON),)),
    ("POST", "/api/v1/people/me/password"): Sent(
        {"current": PASSWORD, "new": "another password"}, details={"password": True}
    ),
    ("POST", "/api/v1/people/me/sign-out-everywhere"): Sent(),
    ("POST", "/me/sessions/{session_id}/end"): Sent(),
    ("POST", "/sessions/{session_id}/end"): Sent(),
    ("POST", "/api/v1/people"): Sent(
        {"name": "kim", "password": PASSWORD, "role": "agent"}, details={"role": "agent"}
    ),
    ("PATCH", "/api/v1/people/{person_id}"): Sent(
        {"role": "agent", "disabled": True}, details={"role": "agent", "disabled": True, "password": False}
    ),
    ("POST", "/api/v1/tokens"): Sent(
        {"name": "reports", "scopes": ["calls:read"]}, details={"name": "reports", "scopes": ["calls:read"]}
    ),
    ("DELETE", "/api/v1/tokens/{token_id}"): Sent(
        before=(("POST", "/api/v1/tokens", {"name": "x", "scopes": ["calls:read"]}),)
    ),
    ("POST", "/operations/retry"): Sent(),
    ("POST", "/operations/recordings/{sid}/retry"): Sent(prepare=parked),
    ("POST", "/operations/recordings/{sid}/skip"): Sent(prepare=parked),
    ("POST", "/api/v1/technicians"): Sent(TECHNICIAN),
    ("PATCH", "/api/v1/technicians/{technician_id}"): Sent(
        {"name": "Kim"}, before=(("POST", "/api/v1/technicians", TECHNICIAN),)
    ),
    ("DELETE", "/api/v1/technicians/{technician_id}"): Sent(
        before=(("POST", "/api/v1/technicians", TECHNICIAN),)
    ),
    ("PUT", "/api/v1/consent"): Sent(
        {"version": 0, "rules": [], "notices": [], "agents_may_skip": False}, details={"version": 1}
    ),
    ("POST", "/api/v1/consent/sounds"): Sent(content=wav_bytes(100, 8000, 1)),
    ("POST", HOOKS): Sent(ENDPOINT, details={"name": "crm", "events": ["verdict"], "numbers": False}),
    ("PATCH", HOOK): Sent({"disabled": True}, before=ADDED, details={"disabled": True}),
    ("DELETE", HOOK): Sent(before=ADDED),
    ("POST", f"{HOOK}/rotate"): Sent(before=ADDED),
    ("POST", f"{HOOK}/test"): Sent(before=ADDED),
    ("POST", f"{HOOK}/deliveries/{{delivery_id}}/send"): Sent(prepare=a_delivery),
    ("POST", f"{HOOK}/send-failed"): Sent(before=ADDED, details={"deliveries": 0}),
    ("POST", "/api/v1/phrase-rules"): Sent(PHRASE_RULE, details={"rule": 1, "enabled": True}),
    ("PATCH", "/api/v1/phrase-rules/{rule_id}"): Sent(
        {"enabled": False},
        before=(("POST", "/api/v1/phrase-rules", PHRASE_RULE),),
        details={"rule": 1, "changed": ["enabled"], "enabled": False},
    ),
    ("DELETE", "/api/v1/phrase-rules/{rule_id}"): Sent(
        before=(("POST", "/api/v1/phrase-rules", PHRASE_RULE),), details={"rule": 1}
    ),
    ("POST", "/api/v1/scorecards"): Sent(SCORECARD, details={"version": 1, "questions": 1}),
    ("PATCH", "/api/v1/scorecards/{scorecard_id}"): Sent(
        {"retired": True}, prepare=a_draft, details={"retired": True}
    ),
    ("POST", "/api/v1/scorecards/{scorecard_id}/versions"): Sent(
        {**SCORECARD, "base": 1}, prepare=a_draft, details={"version": 2}
    ),
    ("POST", SCORED): Sent(
        {"scorecard_id": 1},
        before=(("POST", "/api/v1/scorecards", SCORECARD),),
        details={"scorecard": 1, "version": 1},
    ),
    ("DELETE", f"{SCORED}/{{review_id}}"): Sent(prepare=a_draft),
    ("POST", f"{SCORED}/{{review_id}}/suggestions"): Sent(
        prepare=a_draft_of_a_silent_call,
        details={"scorecard": 1, "model": "test-model", "suggestions": 0, "dropped": 0},
    ),
    ("POST", f"{SCORED}/{{review_id}}/finish"): Sent(
        {"revision": 0, "answers": [{"question": 1, "points": 5}]},
        prepare=a_draft,
        details={"state": "finished", "score": "100.0 %"},
    ),
    ("POST", f"{SCORED}/{{review_id}}/dispute"): Sent(
        {"reason": "case 17"}, prepare=own_finished, details={"state": "disputed", "reviewer": "sam"}
    ),
    ("POST", f"{SCORED}/{{review_id}}/resolve"): Sent(
        {"text": "case 17"}, prepare=disputed, details={"state": "upheld", "reviewer": "sam"}
    ),
    ("PUT", "/api/v1/vocabulary"): Sent({"phrases": ["gauge"]}, details={"phrases": 1}),
}
"""One request to each route that changes something. Add yours: without it, `test_route_writes_its_entry` fails."""

VALUES = {
    "call_id": DONE,
    "note_id": "1",
    "label_id": "1",
    "item_id": "1",
    "filter_id": "1",
    "person_id": "2",
    "token_id": "1",
    "session_id": "1",
    "technician_id": "1",
    "redaction_id": "1",
    "endpoint_id": "1",
    "rule_id": "1",
    "scorecard_id": "1",
    "review_id": "1",
    "delivery_id": DELIVERY,
    "sid": SID,
}
CHANGING = [
    (method, rule) for rule in RULES for method in sorted(rule.methods - SAFE_METHODS) if rule.action(method)
]


def send(browser: TestClient, method: str, path: str, call: str = DONE, **body: Any) -> int:
    for name, value in {**VALUES, "call_id": call}.items():
        path = path.replace(f"{{{name}}}", value)
    query = "?reason=case%2017" if method == "DELETE" else ""
    return browser.request(method, path + query, **body).status_code


@pytest.mark.parametrize(
    ("method", "rule"), CHANGING, ids=lambda one: one if isinstance(one, str) else one.path
)
def test_route_writes_its_entry(
    signed_in: As, place: Seed, engine: FakeEngine, method: str, rule: Rule
) -> None:
    sent = REQUESTS[method, rule.path]
    browser = signed_in("ada")
    sent.prepare(place, engine)
    for before_method, path, body in sent.before:
        assert send(browser, before_method, path, sent.call, json=body) < 300
    before = len(audit_entries(place.database))
    content: dict[str, Any] = {"json": sent.json, "data": {"code": APP.now()} if sent.code else sent.data}
    if sent.content is not None:
        content = {"content": sent.content, "headers": {"Content-Type": rule.body}}
    assert send(browser, method, rule.path, sent.call, **content) < 400
    [entry] = audit_entries(place.database)[before:]
    assert entry.action == rule.action(method)
    assert entry.actor == ("kim" if rule.path == "/welcome" else "ada")
    assert (entry.via, entry.address) == ("session", "testclient")
    assert entry.call_id == (sent.call if "{call_id}" in rule.path else None)
    assert {name: entry.details.get(name) for name in sent.details} == sent.details
    assert "case 17" not in str(entry.details)


@pytest.mark.parametrize(
    ("method", "rule"), CHANGING, ids=lambda one: one if isinstance(one, str) else one.path
)
def test_refused_request_writes_no_entry(signed_in: As, place: Seed, method: str, rule: Rule) -> None:
    zoe = signed_in("zoe")
    status = send(zoe, method, rule.path, json={"nonsense": 1})
    if status < 400:  # it needs no body
        assert rule.needs is None
        return
    assert [entry for entry in audit_entries(place.database) if entry.action != "sign_in_failed"] == []


def test_rule_that_changes_something_needs_an_action() -> None:
    for methods in ("POST", "GET DELETE"):
        with pytest.raises(ValueError, match="audit trail"):
            Rule(methods, "/api/v1/odd", Right.READ_CALLS)
    assert [rule.path for rule in RULES if not rule.methods <= SAFE_METHODS and not rule.action("POST")] == [
        "/api/v1/calls/bulk",
        "/api/v1/softphone/token",
        "/api/v1/numbers",
        "/api/v1/consent/preview",
        "/api/v1/calls/{call_id}/scorecards/{review_id}",
    ]
