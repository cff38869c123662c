"""Every route of the application and who may use it, written by hand and not derived from `web/auth/access.py`.

A new route needs one line here: `test_route_matrix.py` fails without it. `scope` is what a token needs: empty if any token
will do, `SESSION` if none will, else a scope, or a pattern of scopes of which one is enough. `status` answers those who may
use the route, for the call of `tests/support/seed.py:DONE` and with `json` or `form` as the body.
"""

from collections import defaultdict
from typing import Any, NamedTuple

from tests.support.seed import DONE
from tests.web.carrier_side import ROUTES as CARRIER_FORMS
from tests.web.conftest import PASSWORD

EVERYONE = "everyone"
SIGNED_IN = "signed in"
OWN_CALLS = "agents of the call, supervisors and administrators"
SUPERVISORS = "supervisors and administrators"
ADMINISTRATORS = "administrators"
CARRIER = "the carrier, by its signature"

SESSION = "session"
READ, WRITE, ERASE, ANY_CALLS = "calls:read", "calls:write", "calls:erase", "calls:*"
PEOPLE, AUDIT, HOOKS = "people:write", "audit:read", "webhooks:write"

STRETCH = {"role": "agent", "start_ms": "0", "end_ms": "9000"}
REASON = {"reason": "a legal request"}
SCORECARD = {"name": "Service", "questions": [{"text": "Greeted?", "kind": "yes_no", "points": 5}]}
ANSWERS = {"revision": 0, "answers": [{"question": 1, "points": 5, "text": "well", "moments_ms": [900]}]}


class Route(NamedTuple):
    method: str
    path: str
    who: str
    scope: str = ""
    status: int | tuple[int, ...] = 200
    json: dict[str, Any] | None = None
    form: dict[str, str] | None = None


def filled(path: str, **values: str) -> str:
    """A route's path with `values` for its parameters, and the number 1 for those that are not given."""
    return path.format_map(defaultdict(lambda: "1", {"sha256": "0" * 64, **values}))


_CALL, _API_CALL = "/calls/{call_id}", "/api/v1/calls/{call_id}"
_HOOK = "/api/v1/webhooks/{endpoint_id}"

TABLE = (
    # Without sign-in
    Route("GET", "/health", EVERYONE),
    Route("GET", "/health/live", EVERYONE),
    Route("GET", "/health/ready", EVERYONE),
    Route("GET", "/static/", EVERYONE, status=404),
    Route("GET", "/sign-in", EVERYONE, status=(200, 303)),
    Route("POST", "/sign-in", EVERYONE, status=303, form={"name": "ada", "password": PASSWORD}),
    Route("GET", "/sign-in/provider", EVERYONE, status=404),
    Route("GET", "/sign-in/provider/callback", EVERYONE, status=404),
    Route("GET", "/sign-in/code", EVERYONE, status=303),
    Route("POST", "/sign-in/code", EVERYONE, status=401, form={"code": "123456"}),
    Route("GET", "/welcome", EVERYONE, status=404),
    Route("POST", "/welcome", EVERYONE, status=404, form={"token": "x", "name": "eve", "password": PASSWORD}),
    *(Route("POST", path, CARRIER, form=dict(form)) for path, form in CARRIER_FORMS.items()),
    # Pages
    Route("GET", "/", SIGNED_IN, READ),
    Route("GET", "/wall", SIGNED_IN, READ),
    Route("GET", "/statistics", SIGNED_IN, READ),
    Route("GET", "/me", SIGNED_IN),
    Route("GET", "/docs", SIGNED_IN),
    Route("GET", "/openapi.json", SIGNED_IN),
    Route("HEAD", "/openapi.json", SIGNED_IN),
    Route("POST", "/sign-out", SIGNED_IN, SESSION, 303),
    Route("GET", _CALL, OWN_CALLS, READ),
    Route("POST", f"{_CALL}/swap-roles", SUPERVISORS, SESSION, 303, form={"swapped": "true"}),
    Route("POST", f"{_CALL}/hold", SUPERVISORS, SESSION, 303, form=REASON),
    Route("POST", f"{_CALL}/release", SUPERVISORS, SESSION, 409, form=REASON),
    Route("GET", f"{_CALL}/erase", ADMINISTRATORS, SESSION),
    Route("POST", f"{_CALL}/erase", ADMINISTRATORS, SESSION, 303, form=REASON),
    Route("GET", "/technicians", SUPERVISORS, WRITE),
    Route("GET", "/erasures", SUPERVISORS, SESSION),
    Route("GET", "/people", ADMINISTRATORS, PEOPLE),
    Route("GET", "/settings", ADMINISTRATORS, SESSION),
    # Calls
    Route("GET", "/events", SIGNED_IN, READ),
    Route("GET", f"{_CALL}/events", OWN_CALLS, READ),
    Route("GET", f"{_CALL}/layers/{{name}}.wav", OWN_CALLS, READ),
    Route("GET", f"{_CALL}/listen", SUPERVISORS, SESSION, 409),
    Route("HEAD", f"{_CALL}/layers/{{name}}.wav", OWN_CALLS, READ),
    Route("GET", f"{_CALL}/transcript.{{ending}}", OWN_CALLS, READ),
    Route("GET", f"{_CALL}/all.zip", OWN_CALLS, READ),
    Route("GET", "/api/v1/calls", SIGNED_IN, READ),
    Route("GET", "/api/v1/facets", SIGNED_IN, READ),
    Route("GET", "/api/v1/statistics", SIGNED_IN, READ),
    Route("GET", _API_CALL, OWN_CALLS, READ),
    Route("GET", f"{_API_CALL}/peaks", OWN_CALLS, READ),
    Route("GET", f"{_API_CALL}/vcon", OWN_CALLS, READ),
    Route("GET", f"{_API_CALL}/difference", OWN_CALLS, READ),
    Route("POST", f"{_API_CALL}/notes", OWN_CALLS, WRITE, 201, json={"kind": "mark", "at_ms": 10}),
    Route("PUT", f"{_API_CALL}/labels/{{label_id}}", OWN_CALLS, WRITE),
    Route("DELETE", f"{_API_CALL}/labels/{{label_id}}", OWN_CALLS, WRITE, 204),
    Route("GET", f"{_API_CALL}/analysis", OWN_CALLS, READ),
    Route("POST", f"{_API_CALL}/analysis", SUPERVISORS, WRITE, (202, 409)),
    Route("PUT", f"{_API_CALL}/analysis/items/{{item_id}}/state", OWN_CALLS, WRITE, 204, json={"state": "approved"}),
    Route("PUT", f"{_API_CALL}/analysis/items/{{item_id}}/text", OWN_CALLS, WRITE, 204, json={"text": "Mine."}),
    Route("PUT", f"{_API_CALL}/review", SUPERVISORS, WRITE),
    Route("DELETE", f"{_API_CALL}/review", SUPERVISORS, WRITE, 204),
    Route("PUT", f"{_API_CALL}/assignment", SUPERVISORS, WRITE, json={"person": "sam"}),
    Route("DELETE", f"{_API_CALL}/assignment", SUPERVISORS, WRITE, 204),
    Route("GET", "/ask", SIGNED_IN, READ, 409),
    Route("POST", "/api/v1/questions", SIGNED_IN, READ, 409, json={"question": "Which part failed?"}),
    Route("GET", "/api/v1/filters", SIGNED_IN, SESSION),
    Route("POST", "/api/v1/filters", SIGNED_IN, SESSION, 201, json={"name": "open", "query": "reviewed=false"}),
    Route("DELETE", "/api/v1/filters/{filter_id}", SIGNED_IN, SESSION, 404),
    Route("POST", "/api/v1/calls/bulk", SIGNED_IN, WRITE, (200, 403),
          json={"calls": [DONE], "change": "assign", "person": "ada"}),
    Route("GET", "/labels", SUPERVISORS, WRITE),
    Route("GET", "/api/v1/labels", SIGNED_IN, READ),
    Route("POST", "/api/v1/labels", SUPERVISORS, WRITE, 201, json={"name": "spare part", "color": "blue"}),
    Route("PATCH", "/api/v1/labels/{label_id}", SUPERVISORS, WRITE, json={"color": "red"}),
    Route("DELETE", "/api/v1/labels/{label_id}", SUPERVISORS, WRITE),
    Route("GET", "/api/v1/labels/{label_id}/instructions", SUPERVISORS, WRITE),
    Route("PUT", "/api/v1/labels/{label_id}/instructions", SUPERVISORS, WRITE, json={"base": 0, "text": "Be brief."}),
    Route("PATCH", f"{_API_CALL}/notes/{{note_id}}", OWN_CALLS, WRITE, json={"text": "later"}),
    Route("DELETE", f"{_API_CALL}/notes/{{note_id}}", OWN_CALLS, WRITE, 204),
    Route("GET", f"{_API_CALL}/revisions", OWN_CALLS, READ),
    Route("POST", f"{_API_CALL}/revisions", OWN_CALLS, WRITE, 201,
          json={"base": 0, "changes": [{"turn": 0, "text": "good evening"}]}),
    Route("PUT", f"{_API_CALL}/language", OWN_CALLS, WRITE, json={"language": "de"}),
    Route("POST", f"{_API_CALL}/swap-roles", SUPERVISORS, WRITE, json={"swapped": True}),
    Route("GET", f"{_API_CALL}/hold", SUPERVISORS, ERASE),
    Route("PUT", f"{_API_CALL}/hold", SUPERVISORS, ERASE, json=REASON),
    Route("DELETE", f"{_API_CALL}/hold", SUPERVISORS, ERASE, 422),
    Route("GET", "/api/v1/holds", SUPERVISORS, ERASE),
    Route("DELETE", _API_CALL, ADMINISTRATORS, ERASE, 202),
    Route("GET", f"{_API_CALL}/erasure", ADMINISTRATORS, ERASE, 404),
    Route("GET", "/api/v1/erasures", ADMINISTRATORS, ERASE),
    Route("GET", "/retention", ADMINISTRATORS, SESSION),
    Route("POST", "/retention/erase", ADMINISTRATORS, SESSION, form={"number": "+12125550199"}),
    Route("GET", "/api/v1/retention", ADMINISTRATORS, ERASE),
    Route("GET", "/api/v1/subject-access", ADMINISTRATORS, ERASE, 422),
    Route("POST", "/api/v1/subject-access/erase", ADMINISTRATORS, ERASE, 202, json={"number": "+12125550199"}),
    # People
    Route("GET", "/api/v1/people/me", SIGNED_IN),
    Route("POST", "/api/v1/people/me/password", SIGNED_IN, SESSION, 204,
          json={"current": PASSWORD, "new": "another long password"}),
    Route("POST", "/api/v1/people/me/sign-out-everywhere", SIGNED_IN, SESSION, 204),
    Route("GET", "/me/second-factor", SIGNED_IN, SESSION),
    Route("POST", "/me/second-factor", SIGNED_IN, SESSION, form={"password": PASSWORD}),
    Route("POST", "/me/second-factor/confirm", SIGNED_IN, SESSION, (422, 429), form={"code": "123456"}),
    Route("POST", "/me/second-factor/recovery-codes", SIGNED_IN, SESSION, (422, 429), form={"code": "123456"}),
    Route("POST", "/me/second-factor/remove", SIGNED_IN, SESSION, (422, 429), form={"code": "123456"}),
    Route("GET", "/api/v1/people", ADMINISTRATORS, PEOPLE),
    Route("POST", "/api/v1/people", ADMINISTRATORS, PEOPLE, 201, json={"name": "eve", "password": PASSWORD}),
    Route("PATCH", "/api/v1/people/{person_id}", ADMINISTRATORS, PEOPLE, json={"role": "agent"}),
    Route("DELETE", "/api/v1/people/{person_id}/second-factor", ADMINISTRATORS, SESSION, 404),
    Route("GET", "/api/v1/tokens", SIGNED_IN, SESSION),
    Route("POST", "/api/v1/tokens", SIGNED_IN, SESSION, 201, json={"name": "tool", "scopes": ["calls:read"]}),
    Route("DELETE", "/api/v1/tokens/{token_id}", SIGNED_IN, SESSION, 204),
    # Operations
    Route("GET", "/report", SUPERVISORS, ANY_CALLS),
    Route("GET", "/api/v1/report", SUPERVISORS, ANY_CALLS),
    Route("GET", "/operations", SUPERVISORS, ANY_CALLS),
    Route("POST", "/operations/retry", SUPERVISORS, SESSION, 303),
    Route("POST", "/operations/recordings/{sid}/retry", SUPERVISORS, SESSION, 303),
    Route("POST", "/operations/recordings/{sid}/skip", SUPERVISORS, SESSION, 303),
    Route("GET", "/metrics", SUPERVISORS, ANY_CALLS),
    Route("GET", "/api/v1/engines", SUPERVISORS, ANY_CALLS),
    # Recording policy
    Route("GET", "/notices/{sha256}.wav", EVERYONE, status=404),
    *(
        Route("POST", f"/twilio/consent/{page}", CARRIER, form=dict(CARRIER_FORMS["/twilio/call-status"]))
        for page in ("notice", "played", "answer")
    ),
    Route("GET", "/consent", ADMINISTRATORS, SESSION),
    Route("GET", "/api/v1/consent", ADMINISTRATORS, SESSION),
    Route("PUT", "/api/v1/consent", ADMINISTRATORS, SESSION, json={"version": 0, "rules": [], "notices": []}),
    Route("POST", "/api/v1/consent/preview", ADMINISTRATORS, SESSION, json={"direction": "outgoing"}),
    Route("POST", "/api/v1/consent/sounds", ADMINISTRATORS, SESSION, 422),
    # Pauses and redactions
    Route("POST", f"{_API_CALL}/pause", OWN_CALLS, WRITE, (404, 409)),
    Route("POST", f"{_API_CALL}/resume", OWN_CALLS, WRITE, (404, 409)),
    Route("POST", f"{_API_CALL}/do-not-record", OWN_CALLS, WRITE, (404, 409)),
    Route("POST", f"{_CALL}/redactions", SUPERVISORS, SESSION, 303,
          form={"role": "agent", "start_s": "0", "end_s": "9"}),
    Route("POST", f"{_CALL}/redactions/{{redaction_id}}/remove", SUPERVISORS, SESSION, 404),
    Route("POST", f"{_API_CALL}/redactions", SUPERVISORS, WRITE, 201, json={**STRETCH, "end_ms": 9000, "start_ms": 0}),
    Route("DELETE", f"{_API_CALL}/redactions/{{redaction_id}}", SUPERVISORS, WRITE, 404),
    # Audit trail and sessions
    Route("POST", f"{_CALL}/reason", OWN_CALLS, SESSION, 303, form=REASON),
    Route("POST", f"{_API_CALL}/reason", OWN_CALLS, READ, 204, json=REASON),
    Route("GET", f"{_API_CALL}/accesses", SUPERVISORS, READ),
    Route("GET", "/audit", ADMINISTRATORS, AUDIT),
    Route("GET", "/audit/trail.{ending}", ADMINISTRATORS, AUDIT, 422),
    Route("GET", "/api/v1/audit", ADMINISTRATORS, AUDIT),
    Route("POST", "/me/sessions/{session_id}/end", SIGNED_IN, SESSION, (303, 404)),
    Route("GET", "/sessions", ADMINISTRATORS, SESSION),
    Route("POST", "/sessions/{session_id}/end", ADMINISTRATORS, SESSION, 404),
    # Webhooks
    Route("GET", "/webhooks", ADMINISTRATORS, HOOKS),
    Route("GET", "/api/v1/webhooks", ADMINISTRATORS, HOOKS),
    Route("POST", "/api/v1/webhooks", ADMINISTRATORS, HOOKS, 201,
          json={"name": "crm", "url": "https://crm.example/in", "events": ["verdict"]}),
    Route("PATCH", _HOOK, ADMINISTRATORS, HOOKS, json={"name": "crm 2"}),
    Route("POST", f"{_HOOK}/rotate", ADMINISTRATORS, HOOKS),
    Route("POST", f"{_HOOK}/test", ADMINISTRATORS, HOOKS, 202),
    Route("GET", f"{_HOOK}/deliveries", ADMINISTRATORS, HOOKS),
    Route("POST", f"{_HOOK}/deliveries/{{delivery_id}}/send", ADMINISTRATORS, HOOKS, 202),
    Route("POST", f"{_HOOK}/send-failed", ADMINISTRATORS, HOOKS, 202),
    Route("DELETE", _HOOK, ADMINISTRATORS, HOOKS, 204),
    # Placing calls
    Route("GET", "/api/v1/softphone", SIGNED_IN, SESSION),
    Route("POST", "/api/v1/softphone/token", SIGNED_IN, SESSION),
    Route("POST", "/api/v1/numbers", SIGNED_IN, json={"raw": "+12125550123"}),
    Route("GET", "/api/v1/technicians", SIGNED_IN, READ),
    Route("POST", "/api/v1/technicians", SUPERVISORS, WRITE, 201, json={"name": "Eve", "number": "+12125550199"}),
    Route("PATCH", "/api/v1/technicians/{technician_id}", SUPERVISORS, WRITE, json={"name": "Eve"}),
    Route("DELETE", "/api/v1/technicians/{technician_id}", SUPERVISORS, WRITE, 204),
    # Phrase rules
    Route("GET", "/phrase-rules", SUPERVISORS, WRITE),
    Route("GET", "/api/v1/phrase-rules", SUPERVISORS, WRITE),
    Route("POST", "/api/v1/phrase-rules", SUPERVISORS, WRITE, 201, json={"name": "Delivery", "phrases": ["refund*"]}),
    Route("PATCH", "/api/v1/phrase-rules/{rule_id}", SUPERVISORS, WRITE, json={"enabled": False}),
    Route("DELETE", "/api/v1/phrase-rules/{rule_id}", SUPERVISORS, WRITE, 204),
    # Scorecards: the review is a draft of ada's, so others get 404
    Route("GET", "/scorecards", SUPERVISORS, WRITE),
    Route("GET", "/scorecards/results", SUPERVISORS, ANY_CALLS),
    Route("GET", "/scorecards/results.csv", SUPERVISORS, ANY_CALLS),
    Route("GET", "/api/v1/scorecards", SUPERVISORS, ANY_CALLS),
    Route("POST", "/api/v1/scorecards", SUPERVISORS, WRITE, 201, json=SCORECARD),
    Route("GET", "/api/v1/scorecards/results", SUPERVISORS, ANY_CALLS),
    Route("PATCH", "/api/v1/scorecards/{scorecard_id}", SUPERVISORS, WRITE, json={"retired": True}),
    Route("POST", "/api/v1/scorecards/{scorecard_id}/versions", SUPERVISORS, WRITE, 201, json={**SCORECARD, "base": 1}),
    Route("GET", f"{_API_CALL}/scorecards", OWN_CALLS, READ),
    Route("POST", f"{_API_CALL}/scorecards", SUPERVISORS, WRITE, (200, 201), json={"scorecard_id": 1}),
    Route("PUT", f"{_API_CALL}/scorecards/{{review_id}}", SUPERVISORS, WRITE, (200, 404), json=ANSWERS),
    Route("DELETE", f"{_API_CALL}/scorecards/{{review_id}}", SUPERVISORS, WRITE, (204, 404)),
    Route("POST", f"{_API_CALL}/scorecards/{{review_id}}/suggestions", SUPERVISORS, WRITE, 409),
    Route("POST", f"{_API_CALL}/scorecards/{{review_id}}/finish", SUPERVISORS, WRITE, (200, 404), json=ANSWERS),
    Route("POST", f"{_API_CALL}/scorecards/{{review_id}}/dispute", OWN_CALLS, WRITE, (403, 404), json={"reason": "no"}),
    Route("POST", f"{_API_CALL}/scorecards/{{review_id}}/resolve", SUPERVISORS, WRITE, (404, 409), json={"text": "yes"}),
    Route("GET", "/api/v1/vocabulary", SIGNED_IN, READ),
    Route("PUT", "/api/v1/vocabulary", SUPERVISORS, WRITE, json={"phrases": ["pump"]}),
)  # fmt: skip
