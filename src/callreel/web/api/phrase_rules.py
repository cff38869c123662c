"""The API of phrase rules: which words raise an alert. For supervisors and administrators."""

from dataclasses import replace
from typing import Annotated, Any, Self

from fastapi import APIRouter, Depends, Response
from fastapi.responses import JSONResponse
from pydantic import Field, StringConstraints, model_validator
from sqlalchemy import Connection

from callreel.domain.call import Role
from callreel.domain.events import Json
from callreel.domain.phrases import (
    LARGEST_RULES,
    LONGEST_PHRASE,
    MOST_PHRASES,
    MOST_RULES,
    PhraseError,
    PhraseKind,
    PhraseRule,
    Trigger,
)
from callreel.store.audit.pending import describe
from callreel.store.transcripts import phrase_rules
from callreel.store.transcripts.phrase_rules import PhraseRuleRow
from callreel.web.dependencies import Context, CurrentPerson
from callreel.web.errors import InvalidError, RequestConflictError, existing
from callreel.web.options import WebContext
from callreel.web.organizing.typed_filters import ANY_RULE
from callreel.web.values import Body, RowId

LONGEST_LIMIT_S = 24 * 3600

routes = APIRouter(tags=["phrase rules"])

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
Phrase = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_PHRASE)]
PhraseList = Annotated[list[Phrase], Field(min_length=1, max_length=MOST_PHRASES)]
NumberPrefix = Annotated[str, Field(max_length=16, pattern=r"^(\+[0-9]*)?$")]
Limit = Annotated[float, Field(gt=0, le=LONGEST_LIMIT_S)]


class NewPhraseRule(Body):
    """What raises an alert. `role` null: either party. `within_s` null: the whole call; for a `missing` phrase only."""

    name: Name
    phrases: PhraseList
    kind: PhraseKind = PhraseKind.WORDS
    role: Role | None = None
    number_prefix: NumberPrefix = ""
    trigger: Trigger = Trigger.SAID
    within_s: Limit | None = None
    enabled: bool = True

    @model_validator(mode="after")
    def _limit_fits(self) -> Self:
        if self.trigger is Trigger.SAID and self.within_s is not None:
            raise ValueError("within_s is for a missing phrase")
        return self


class PhraseRuleChange(Body):
    """What is to be changed. Changing `trigger` to `said` removes the limit."""

    name: Name | None = None
    phrases: PhraseList | None = None
    kind: PhraseKind | None = None
    role: Role | None = None
    number_prefix: NumberPrefix | None = None
    trigger: Trigger | None = None
    within_s: Limit | None = None
    enabled: bool | None = None


def _existing(rule_id: RowId, context: Context) -> PhraseRuleRow:
    with context.database.read() as conn:
        return existing("phrase rule", phrase_rules.get(conn, rule_id))


ExistingRule = Annotated[PhraseRuleRow, Depends(_existing)]


@routes.get("/api/v1/phrase-rules")
def all_rules(context: Context) -> JSONResponse:
    """All phrase rules, oldest first."""
    with context.database.read() as conn:
        rows = phrase_rules.all_rules(conn)
    return JSONResponse({"rules": [rule_summary(row) for row in rows]})


@routes.post("/api/v1/phrase-rules", status_code=201)
def add(context: Context, person: CurrentPerson, wanted: NewPhraseRule) -> JSONResponse:
    """Add a phrase rule. It is in force on live calls within some seconds."""
    values = _columns(wanted)
    _check(context, PhraseRule(0, **values))
    with context.database.write() as conn:
        phrase_rules.lock(conn)
        if len(phrase_rules.all_rules(conn)) >= MOST_RULES:
            raise RequestConflictError(f"there are {MOST_RULES} phrase rules already; remove one first")
        _check_name(conn, wanted.name)
        row = phrase_rules.add(conn, values, person.name, context.clock.now())
        describe(rule=row.id, enabled=row.enabled)
    return JSONResponse(rule_summary(row), 201)


@routes.patch("/api/v1/phrase-rules/{rule_id}")
def change(context: Context, rule: ExistingRule, wanted: PhraseRuleChange) -> JSONResponse:
    """Change a phrase rule: the fields that are sent."""
    values = _columns(wanted)
    changed = replace(rule.rule, **values)
    if changed.trigger is Trigger.SAID and changed.within_ms is not None:
        if values.get("within_ms") is not None:
            raise InvalidError("within_s is for a missing phrase")
        values["within_ms"] = None
    _check(context, changed)
    with context.database.write() as conn:
        if wanted.name is not None:
            phrase_rules.lock(conn)
            _check_name(conn, wanted.name, rule.id)
        changing = phrase_rules.change(conn, rule.id, values, context.clock.now()) if values else rule
        row = existing("phrase rule", changing)
        describe(rule=row.id, changed=sorted(values), enabled=row.enabled)
    return JSONResponse(rule_summary(row))


@routes.delete("/api/v1/phrase-rules/{rule_id}", status_code=204)
def remove(context: Context, rule: ExistingRule) -> Response:
    """Remove a phrase rule; its alerts stay."""
    describe(rule=rule.id)
    with context.database.write() as conn:
        phrase_rules.remove(conn, rule.id)
    return Response(status_code=204)


def rule_summary(row: PhraseRuleRow) -> dict[str, Json]:
    """A phrase rule as JSON."""
    return {
        "id": row.id,
        "name": row.name,
        "kind": row.kind.value,
        "phrases": list(row.phrases),
        "role": row.role.value if row.role else None,
        "number_prefix": row.number_prefix,
        "trigger": row.trigger.value,
        "within_s": None if row.within_ms is None else row.within_ms / 1000,
        "enabled": row.enabled,
        "by": row.by,
        "at": row.at.isoformat(timespec="seconds"),
    }


def _columns(wanted: NewPhraseRule | PhraseRuleChange) -> dict[str, Any]:
    """The values of the fields that are to be set; null is a value of `role` and `within_s` only."""
    fields = wanted.model_dump(exclude_unset=isinstance(wanted, PhraseRuleChange))
    values = {name: value for name, value in fields.items() if value is not None or name == "role"}
    values.pop("within_s", None)
    if wanted.phrases is not None:
        values["phrases"] = tuple(wanted.phrases)
    if "within_s" in fields:
        values["within_ms"] = None if wanted.within_s is None else round(1000 * wanted.within_s)
    return values


def _check_name(conn: Connection, name: str, rule_id: int | None = None) -> None:
    """Raises RequestConflictError if the search cannot tell a rule of this name from another one; `rule_id` is the rule that gets it."""
    if name.casefold() == ANY_RULE:
        raise RequestConflictError(f"'{ANY_RULE}' means every rule in the search; choose another name")
    for row in phrase_rules.all_rules(conn):
        if row.id != rule_id and row.name.casefold() == name.casefold():
            raise RequestConflictError("there is a phrase rule of this name already")


def _check(context: WebContext, wanted: PhraseRule) -> None:
    """Raises InvalidError if the rule's phrases cannot be used, or if all enabled rules together would take too long."""
    with context.database.read() as conn:
        others = [row.rule for row in phrase_rules.all_rules(conn) if row.id != wanted.id]
    try:
        size = wanted.compiled().size
        size += sum(rule.compiled().size for rule in others if rule.enabled)
    except PhraseError as error:
        raise InvalidError(str(error)) from None
    if wanted.enabled and size > LARGEST_RULES:
        raise InvalidError("all phrase rules together are too complex: disable one, or use fewer phrases")
