"""What of a call is redacted, for everything that displays or exports it."""

from collections.abc import Sequence

from sqlalchemy import Connection

from callreel.domain.events import Json
from callreel.domain.json_time import json_time
from callreel.domain.redaction import Stretch
from callreel.store.calls import originals
from callreel.store.calls.calls import CallRow
from callreel.store.transcripts import redactions
from callreel.store.transcripts.redactions import RedactionRow


def stretches_to_mask(conn: Connection, row: CallRow, *, original: bool) -> Sequence[Stretch]:
    """The stretches to mask on the call's clock; none if the originals are wanted."""
    return [] if original else redactions.in_force(conn, row.id)


def redaction_summary(conn: Connection, row: CallRow, *, original: bool) -> dict[str, Json]:
    """The state of a call's redaction in JSON, with every redaction and each destroyed original; roles as recorded."""
    replaced = originals.of_call(conn, row.id)
    return {
        "state": "awaited" if row.redaction_awaited else "done" if row.redacted_at else "none",
        "withheld": row.withheld and not original,
        "original": original,
        "redacted_at": json_time(row.redacted_at),
        "originals_destroyed_at": json_time(row.originals_destroyed_at),
        "redactions": [_redaction(one) for one in redactions.of_call(conn, row.id)],
        "destroyed_originals": [
            {
                "path": one.path,
                "sha256": one.sha256,
                "copy": one.copy_path,
                "at": json_time(one.destroyed_at),
            }
            for one in replaced
        ],
    }


def _redaction(row: RedactionRow) -> Json:
    return {
        "id": row.id,
        "role": row.role.value,
        "entity": row.entity.value,
        "start_ms": row.start_ms,
        "end_ms": row.end_ms,
        "by": row.by or None,
        "at": json_time(row.at),
        "removed_by": row.removed_by,
        "removed_at": json_time(row.removed_at),
    }
