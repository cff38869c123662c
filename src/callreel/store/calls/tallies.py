"""Totals for the metrics and the operations page. Each is one query over indexed or small columns."""

from sqlalchemy import Connection, func, select

from callreel.domain.call import CallState
from callreel.domain.recording import CloudState, Layer
from callreel.store.db.tables import calls, layers, recordings


def calls_by_state(conn: Connection) -> dict[CallState, int]:
    query = select(calls.c.state, func.count()).group_by(calls.c.state)
    return {state: number for state, number in conn.execute(query)}


def calls_by_verdict(conn: Connection) -> dict[str, int]:
    """Closed calls; those without a verdict count as `none`."""
    query = (
        select(calls.c.verdict, func.count())
        .where(calls.c.state == CallState.CLOSED)
        .group_by(calls.c.verdict)
    )
    return {str(verdict or "none"): number for verdict, number in conn.execute(query)}


def recordings_by_state(conn: Connection) -> dict[CloudState, int]:
    query = select(recordings.c.state, func.count()).group_by(recordings.c.state)
    return {state: number for state, number in conn.execute(query)}


def layer_sizes(conn: Connection) -> dict[Layer, int]:
    """Bytes stored, by layer; an archived layer that is rebuilt from another one takes none."""
    query = select(layers.c.layer, func.sum(func.coalesce(layers.c.stored_bytes, layers.c.size_bytes)))
    query = query.group_by(layers.c.layer)
    return {layer: int(size_bytes) for layer, size_bytes in conn.execute(query)}
