"""The analyse stage: asks a language model about a call's final transcript, and saves what of the answer can be checked.

It sends the text as everybody sees it, with redacted words masked; a call whose redaction is awaited waits for it. Texts never
become results of durable steps, which are stored without encryption; so the stage is one step, and after a crash it asks again.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from callreel.cluster.event_publisher import EventPublisher
from callreel.domain.audit import AuditAction, AuditEvent, Via
from callreel.domain.errors import CallErasedError, SettingsError, StoreError
from callreel.domain.events import EventKind, Json, LiveEvent
from callreel.domain.ids import CallId
from callreel.domain.transcript import Turn
from callreel.domain.work import Workflow, subject_of
from callreel.insight import prompts
from callreel.insight.analysis import FoundItem, ItemKind
from callreel.insight.answer import Answer, Checked, Merged, check, parse, schema
from callreel.insight.instructions import Instructions, with_instructions
from callreel.insight.prompts import Message
from callreel.language_model.chat_server import ChatAnswer, ChatServer
from callreel.language_model.usage import TokenPrices, usage_of
from callreel.postcall.durable import DurableEngine, RetryPolicy, StepFailedError, Steps
from callreel.redaction.masking import masked_turns
from callreel.review.redacting import BY_POLICY
from callreel.review.summary import displayed_turns
from callreel.runtime.clock import Clock
from callreel.runtime.stage_times import StageTimes
from callreel.store.audit import trail
from callreel.store.calls import calls, erasures, labels
from callreel.store.calls.calls import CallRow
from callreel.store.db.database import Database
from callreel.store.insight import analyses, instructions
from callreel.store.insight.analyses import AnalysisRow
from callreel.store.transcripts import redactions, revisions
from callreel.store.transcripts.revisions import Shown

log = logging.getLogger(__name__)

QUEUE = "analyse"
STAGE = "analyse"
_Version = tuple[int, datetime, int]


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is sent of a call; `turns` have the displayed roles and their masks.

    `version` is the final transcript, since when, and the number of its newest correction; None without one.
    """

    call: CallRow
    version: _Version | None
    turns: Sequence[Turn]
    labels: Mapping[str, int]
    redactions: Sequence[object]
    instructions: Sequence[Instructions]


class Analysing:
    """Blocking; one request takes up to the server's time-out."""

    def __init__(
        self,
        database: Database,
        publisher: EventPublisher,
        clock: Clock,
        server: ChatServer | None,
        prices: TokenPrices,
        times: StageTimes | None = None,
        *,
        redacts: bool = False,
    ) -> None:
        """`server` None: none is set, and workflows that were queued before end without a result.

        `redacts`: the policy is on, so a call that was not redacted is not sent.
        """
        self._redacts = redacts
        self._database = database
        self._publisher = publisher
        self._clock = clock
        self._server = server
        self._prices = prices
        self._times = times or StageTimes()

    def register(self, engine: DurableEngine, decide: RetryPolicy) -> None:
        """Make the workflow known before the engine is launched."""
        engine.register(Workflow.ANALYSE, self.workflow, queue=QUEUE, decide=decide)

    def workflow(self, steps: Steps, key: str) -> None:
        """Analyse the call that `key` names."""
        call_id = CallId(subject_of(key))

        def analysed() -> int:
            self._announce(call_id, "running")
            found = self._times.timed(STAGE, lambda: self.analyse(call_id, key))
            self._announce(call_id, "done")
            return found

        if self._server is None:
            return
        try:
            steps.run(STAGE, analysed)
        except StepFailedError as failed:
            if failed.retry.parked:
                reason = failed.retry.reason
                steps.run(f"announce {STAGE}", lambda: self._announce(call_id, "parked", reason))
            raise

    def analyse(self, call_id: CallId, run: str, by: str = BY_POLICY, via: Via = Via.SERVER) -> int:
        """Analyse a call and save the result as a new revision, once for each `run`; returns the number of items.

        `by` and `via` are for the audit trail. A call without a final transcript, or without words, is left alone. Raises LanguageModelError, CallErasedError, and
        StoreError while the call is not redacted though the policy demands it.
        """
        if self._server is None:
            raise SettingsError("CALLREEL_LANGUAGE_MODEL_URL is not set")
        with self._database.read() as conn:
            if analyses.has_run(conn, call_id, run):
                return 0
        asked = self._asked(call_id)
        if not any(turn.text.strip() for turn in asked.turns):
            return 0
        started_s = self._clock.monotonic_s()
        answers: list[ChatAnswer] = []
        checked = _answers(self._server, asked, answers)
        took_ms = round(1000 * (self._clock.monotonic_s() - started_s))
        usage, access = usage_of(answers, self._prices), self._server.access
        row = AnalysisRow(
            call_id, run, self._clock.now(), urlsplit(access.url).netloc, access.model, prompts.CALL, usage.requests, took_ms,
            usage.prompt_tokens, usage.completion_tokens, usage.cost, usage.currency,
            checked.dropped, asked.call.roles_swapped, instructions=tuple(one.used for one in asked.instructions),
        )  # fmt: skip
        details: dict[str, Json] = {"server": row.server, "model": row.model, "items": len(checked.items)}
        event = AuditEvent(row.at, AuditAction.ANALYSED, by, via, call_id=call_id, details=details)
        return len(checked.items) if self._save(asked, row, checked.items, event) else 0

    def _asked(self, call_id: CallId) -> _Asked:
        with self._database.read() as conn:
            call = calls.get(conn, call_id)
            if call is None or erasures.get(conn, call_id) is not None:
                raise CallErasedError(f"call {call_id} was erased, or is being erased")
            if call.withheld or (self._redacts and call.redacted_at is None):
                raise StoreError("the call is not redacted yet; callreel redact does that")
            found = revisions.shown(conn, call_id)
            hidden = redactions.in_force(conn, call_id)
            names = {row.name: row.id for row in labels.all_labels(conn)}
            given = instructions.of_call(conn, call_id)
        turns = displayed_turns(call, masked_turns(found.turns, hidden)) if found else ()
        return _Asked(call, _version(found), turns, names, hidden, given)

    def _save(self, asked: _Asked, row: AnalysisRow, found: Sequence[FoundItem], event: AuditEvent) -> bool:
        """False if the text was deleted while the model answered: then nothing of it may be saved."""
        with self._database.write() as conn:
            calls.lock(conn, row.call_id)
            call = calls.get(conn, row.call_id)
            if call is None or erasures.get(conn, row.call_id) is not None:
                raise CallErasedError(f"call {row.call_id} was erased, or is being erased")
            version = _version(revisions.shown(conn, row.call_id))
            if version is None:
                log.info("answer dropped: the text was deleted meanwhile", extra={"call_id": row.call_id})
                return False
            if (version, call.roles_swapped, redactions.in_force(conn, row.call_id)) != (
                asked.version,
                row.roles_swapped,
                asked.redactions,
            ):
                raise StoreError("the text or the roles of the call changed meanwhile; it is analysed again")
            if not analyses.has_run(conn, row.call_id, row.run):
                analyses.add(conn, row, [_as_recorded(call, item) for item in found])
                trail.record(conn, event)
        log.info(
            "call analysed model=%s items=%d dropped=%d duration_ms=%d", row.model, len(found), row.dropped, row.duration_ms,
            extra={"call_id": row.call_id},
        )  # fmt: skip
        return True

    def _announce(self, call_id: CallId, state: str, reason: str | None = None) -> None:
        change = LiveEvent(call_id, EventKind.STAGE, {"stage": STAGE, "state": state, "reason": reason})
        with self._database.write() as conn:
            if calls.get(conn, call_id) is None:
                return
            event = self._publisher.record(conn, change)
        self._publisher.publish(event)


def _version(found: Shown | None) -> _Version | None:
    return None if found is None else (found.machine.id, found.machine.created_at, found.number)


def _answers(server: ChatServer, asked: _Asked, answers: list[ChatAnswer]) -> Checked:
    """Ask about the call, in parts if it is long; every answer is appended to `answers`."""

    def ask(messages: Sequence[Message], form: type[Merged]) -> Checked:
        answers.append(server.complete(messages, schema(form)))
        return check(parse(answers[-1].text, form), asked.turns, asked.labels)

    def template(name: str) -> str:
        return with_instructions(prompts.template(name), asked.instructions)

    pieces, about_call = prompts.pieces(asked.turns), template(prompts.CALL)
    parts = [ask(prompts.about_call(about_call, piece, asked.labels), Answer) for piece in pieces]
    if len(parts) == 1:
        return parts[0]
    about = [_as_answer(part.items, asked.turns) for part in parts]
    whole = ask(prompts.about_parts(template(prompts.MERGE), about, asked.labels), Merged)
    # The course over the call is that of its parts, one after the other.
    course = [item for part in parts for item in part.items if item.kind is ItemKind.SENTIMENT]
    return Checked((*whole.items, *course), whole.dropped + sum(part.dropped for part in parts))


def _as_recorded(call: CallRow, item: FoundItem) -> FoundItem:
    """The item with the recorded roles instead of the displayed ones."""
    role = item.content.role
    return replace(
        item,
        content=replace(item.content, role=role and call.displayed(role)),
        citations=tuple(replace(one, role=call.displayed(one.role)) for one in item.citations),
    )


def _as_answer(items: Sequence[FoundItem], turns: Sequence[Turn]) -> dict[str, Any]:
    """Checked items in the form of an answer, for the request that merges them."""
    numbers = {(turn.role, turn.start_ms, turn.end_ms): number for number, turn in enumerate(turns, start=1)}
    answer: dict[str, Any] = {
        "summary": None,
        "reason": None,
        "outcome": None,
        "action_items": [],
        "labels": [],
    }
    for item in items:
        cited = [numbers[(one.role, one.start_ms, one.end_ms)] for one in item.citations]
        text = item.content.text
        if item.kind is ItemKind.ACTION:
            owner = item.content.role.value if item.content.role else None
            answer["action_items"].append(
                {"text": text, "owner": owner, "due": item.content.due or None, "turns": cited}
            )
        elif item.kind is ItemKind.LABEL:
            answer["labels"].append({"label": text, "turns": cited})
        elif item.kind is not ItemKind.SENTIMENT:
            answer[item.kind.value] = {"text": text, "turns": cited}
    return answer
