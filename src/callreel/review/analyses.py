"""The analysis of a call as people see it, and what they decide: approve, edit or reject an item, or order another analysis.

What a person wrote stays through later analyses. Text of the model is not trusted: it is data in JSON, and pages escape it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from sqlalchemy import Connection

from callreel.cluster.event_publisher import EventPublisher
from callreel.domain.access import Right
from callreel.domain.call import CallState, Role
from callreel.domain.errors import CallreelError
from callreel.domain.events import EventKind, Json, LiveEvent, swap_roles
from callreel.domain.ids import CallId
from callreel.domain.json_time import json_time
from callreel.domain.work import Workflow
from callreel.insight.analysis import (
    LONGEST_DUE,
    LONGEST_TEXT,
    Content,
    Item,
    ItemKind,
    ItemState,
    Sentiment,
    displayed,
)
from callreel.insight.instructions import UsedInstructions
from callreel.review.labeling import Labeling
from callreel.runtime.clock import Clock
from callreel.store.audit.pending import describe
from callreel.store.calls import calls, holds, labels, outbox
from callreel.store.calls.calls import CallRow
from callreel.store.db.database import Database
from callreel.store.insight import analyses, instructions
from callreel.store.insight.analyses import AnalysisRow


class ItemError(CallreelError):
    """A text that an item cannot have."""


class AnalysisRefusedError(CallreelError):
    """The state of the call, or of its item, does not allow this."""


def analysis_summary(conn: Connection, call: CallRow) -> Json:
    """The newest run, and the items that are shown; roles as recorded. None without a run.

    `outdated` says why the model's text of the newest run is not shown: `redacted` or `roles_swapped`. `unused_instructions` are
    those of the call's labels that the newest run was made without.
    """
    rows = analyses.of_call(conn, call.id)
    if not rows:
        return None
    newest = rows[0]
    outdated = "redacted" if newest.redacted else None
    if outdated is None and newest.roles_swapped != call.roles_swapped:
        outdated = "roles_swapped"
    items = displayed(_shown(conn, call, rows), newest.number)
    return {
        **_run(newest),
        "unused_instructions": _unused_instructions(conn, call.id, newest),
        "outdated": outdated,
        "items": [_item(item) for item in items],
    }


def displayed_analysis(conn: Connection, call: CallRow) -> Json:
    """The same with the displayed roles."""
    found = analysis_summary(conn, call)
    return swap_roles(found) if call.roles_swapped and isinstance(found, Mapping) else found


def displayed_sentiments(conn: Connection, call: CallRow) -> list[tuple[Role, int, str]]:
    """How each displayed party sounds from a position on, in the order of time, without what people rejected."""
    rows = analyses.of_call(conn, call.id)
    items = displayed(_shown(conn, call, rows), rows[0].number) if rows else []
    return [
        (call.displayed(item.content.role), item.citations[0].start_ms, item.content.sentiment.value)
        for item in items
        if item.state is not ItemState.REJECTED
        and item.content is not None
        and item.content.role is not None
        and item.content.sentiment is not None
    ]


def analysis_history(conn: Connection, call_id: CallId, *, original: bool = False) -> list[Json]:
    """Every run of a call, newest first, each with all of its items, with the displayed roles.

    Empty while the text of the call is withheld, unless `original`.
    """
    call = calls.get(conn, call_id)
    if call is None or (call.withheld and not original):
        return []
    rows = analyses.of_call(conn, call.id)
    items = [item for item in _shown(conn, call, rows) if item.content is not None]
    runs = [
        {**_run(row), "items": [_item(item) for item in items if item.number == row.number]} for row in rows
    ]
    return [swap_roles(run) if call.roles_swapped else run for run in runs]


class Analyses:
    """Blocking; safe from any thread."""

    def __init__(
        self,
        database: Database,
        publisher: EventPublisher,
        clock: Clock,
        labeling: Labeling,
        *,
        redacts: bool,
    ) -> None:
        """`redacts`: the policy is on, so a call is analysed only after it was redacted."""
        self._redacts = redacts
        self._database = database
        self._publisher = publisher
        self._clock = clock
        self._labeling = labeling

    def order(self, call_id: CallId) -> None:
        """Order another analysis. Raises NoCallError, AnalysisRefusedError."""
        with self._database.write() as conn:
            call = calls.locked(conn, call_id)
            if call.state is not CallState.CLOSED or call.withheld:
                raise AnalysisRefusedError("a call is analysed when the stages after it are done")
            if self._redacts and call.redacted_at is None:
                raise AnalysisRefusedError(
                    "the call was not redacted, so its text is not sent to the language model"
                )
            outbox.put(conn, call_id, Workflow.ANALYSE, call_id, self._clock.now())

    def decide(
        self, call_id: CallId, item_id: int, state: ItemState, by: str, rights: Collection[Right]
    ) -> bool:
        """Approve or reject an item; False if there is no such item. An approved label is given to the call.

        Raises AnalysisRefusedError, and what `Labeling.attach` raises.
        """
        with self._database.read() as conn:
            item = self._changeable(conn, call_id, item_id)
        if item is None:
            return False
        describe(subject=str(item_id), kind=item.kind.value, state=state.value)
        if item.label_id is not None and state is ItemState.APPROVED:
            self._labeling.attach(call_id, item.label_id, by, rights)
        self._save(call_id, item, state, None, by)
        return True

    def edit(
        self,
        call_id: CallId,
        item_id: int,
        text: str,
        role: Role | None,
        due: str,
        sentiment: Sentiment | None,
        by: str,
    ) -> bool:
        """Replace the text of an item, the owner and due date of an action item, and a `sentiment` unless it is None; that approves it. The owner is the party as the page names it.

        False if there is no such item. Raises ItemError, AnalysisRefusedError.
        """
        text, due = text.strip(), due.strip()
        if not text or len(text) > LONGEST_TEXT or len(due) > LONGEST_DUE:
            raise ItemError(
                f"an item needs a text of 1 to {LONGEST_TEXT} characters, and a due date of at most {LONGEST_DUE}"
            )
        with self._database.read() as conn:
            item = self._changeable(conn, call_id, item_id)
            call = calls.get(conn, call_id)
        if item is None or call is None:
            return False
        if item.kind is ItemKind.LABEL:
            raise AnalysisRefusedError("a suggested label can be approved or rejected, not edited")
        if item.kind is not ItemKind.ACTION:
            role, due = None, ""
        written = Content(text, role and call.displayed(role), due)
        if item.kind is ItemKind.SENTIMENT and item.content is not None:
            written = Content(text, item.content.role, "", sentiment or item.content.sentiment)
        describe(subject=str(item_id), kind=item.kind.value, state=ItemState.APPROVED.value, edited=True)
        self._save(call_id, item, ItemState.APPROVED, written, by)
        return True

    def _changeable(self, conn: Connection, call_id: CallId, item_id: int) -> Item | None:
        if holds.current(conn, call_id) is not None:
            raise AnalysisRefusedError("the call is on legal hold: its analysis cannot be changed")
        return analyses.get(conn, call_id, item_id)

    def _save(self, call_id: CallId, item: Item, state: ItemState, written: Content | None, by: str) -> None:
        with self._database.write() as conn:
            analyses.decide(conn, item.id, state, written, by, self._clock.now())
            event = self._publisher.record(conn, LiveEvent(call_id, EventKind.CALL, {"analysis": item.id}))
        self._publisher.publish(event)


def _shown(conn: Connection, call: CallRow, rows: Sequence[AnalysisRow]) -> list[Item]:
    """The items whose text may be shown. A suggestion of a label that was renamed has its name of now, a deleted one's has none."""
    names = {row.id: row.name for row in labels.all_labels(conn)}
    items = analyses.shown(rows, analyses.items_of(conn, call.id), roles_swapped=call.roles_swapped)
    return [
        replace(item, made=Content(names[item.label_id]) if item.made and item.label_id in names else None)
        if item.label_id is not None
        else item
        for item in items
    ]


def _unused_instructions(conn: Connection, call_id: CallId, row: AnalysisRow) -> list[Json]:
    used = {(one.label_id, one.version) for one in row.instructions}
    given = [one.used for one in instructions.of_call(conn, call_id)]
    return [_instructions(one) for one in given if (one.label_id, one.version) not in used]


def _instructions(used: UsedInstructions) -> dict[str, Json]:
    return {"label_id": used.label_id, "label": used.label, "version": used.version}


def _run(row: AnalysisRow) -> dict[str, Json]:
    return {
        "number": row.number,
        "at": json_time(row.at),
        "server": row.server,
        "model": row.model,
        "prompt": row.prompt,
        "instructions": [_instructions(one) for one in row.instructions],
        "requests": row.requests,
        "duration_ms": row.duration_ms,
        "prompt_tokens": row.prompt_tokens,
        "completion_tokens": row.completion_tokens,
        "cost": row.cost,
        "currency": row.currency,
        "dropped": row.dropped,
    }


def _item(item: Item) -> dict[str, Json]:
    content = item.content
    assert content is not None  # others are not listed
    return {
        "id": item.id,
        "run": item.number,
        "kind": item.kind.value,
        "text": content.text,
        "role": content.role.value if content.role else None,
        "due": content.due or None,
        "sentiment": content.sentiment.value if content.sentiment else None,
        "label_id": item.label_id,
        "state": item.state.value,
        "edited": item.written is not None,
        "by": item.by,
        "at": json_time(item.at),
        "turns": [
            {"role": one.role.value, "start_ms": one.start_ms, "end_ms": one.end_ms} for one in item.citations
        ],
    }
