"""Instructions of labels for the language model, as rows. A version is only ever added; they go with their label."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, and_, func, insert, select

from callreel.domain.ids import CallId
from callreel.insight.instructions import MOST_LABELS_USED, Instructions, UsedInstructions
from callreel.store.calls import labels
from callreel.store.db.rows import fetch_all, values_of
from callreel.store.db.tables import label_instructions


@dataclass(frozen=True, slots=True)
class InstructionsRow:
    """One version. `number` counts from 1 within the label; an empty text takes the instructions out of force."""

    label_id: int
    number: int
    text: str = field(repr=False)
    by: str
    at: datetime


def add(conn: Connection, row: InstructionsRow) -> None:
    """Save the version after the newest one; the caller has checked its number in this transaction."""
    conn.execute(insert(label_instructions).values(values_of(label_instructions, row)))


def of_label(conn: Connection, label_id: int) -> list[InstructionsRow]:
    """All versions, newest first."""
    query = select(label_instructions).where(label_instructions.c.label_id == label_id)
    return fetch_all(conn, InstructionsRow, query.order_by(label_instructions.c.number.desc()))


def in_force(conn: Connection, label_ids: Collection[int] | None = None) -> dict[int, InstructionsRow]:
    """The newest version of each of these labels, or of all; labels without a text are left out."""
    last = select(label_instructions.c.label_id, func.max(label_instructions.c.number).label("number"))
    if label_ids is not None:
        last = last.where(label_instructions.c.label_id.in_(list(label_ids)))
    last_of = last.group_by(label_instructions.c.label_id).subquery()
    mine = label_instructions.c.label_id == last_of.c.label_id
    query = select(label_instructions).join(
        last_of, and_(mine, label_instructions.c.number == last_of.c.number)
    )
    return {row.label_id: row for row in fetch_all(conn, InstructionsRow, query) if row.text}


def of_call(conn: Connection, call_id: CallId) -> list[Instructions]:
    """What the labels of a call tell the language model, by the names of the labels: the first `MOST_LABELS_USED`."""
    carried = labels.of_calls(conn, [call_id]).get(call_id, [])
    found = in_force(conn, [label.id for label in carried])
    given = [(label, found[label.id]) for label in carried if label.id in found]
    return [
        Instructions(UsedInstructions(label.id, label.name, row.number), row.text)
        for label, row in given[:MOST_LABELS_USED]
    ]
