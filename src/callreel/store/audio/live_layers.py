"""Rows and events of live layers, from their files."""

from pathlib import Path

from callreel.domain.call import Role
from callreel.domain.events import EventKind, LiveEvent
from callreel.domain.ids import CallId
from callreel.domain.recording import Layer, LayerFile, LayerState
from callreel.store.encryption.sealed_file import FileKeys
from callreel.store.files.stored_file import stored_digest, stored_size


def layer_file(
    layer: Layer,
    role: Role | None,
    path: Path,
    rate_hz: int,
    state: LayerState,
    root: Path,
    spool: str | None = None,
    keys: FileKeys | None = None,
) -> LayerFile:
    """The row of a mono 16-bit file in its current state, with a digest unless it is still growing."""
    size = stored_size(path, keys)
    samples = max(size - 44, 0) // 2
    digest = None if state is LayerState.RECORDING else stored_digest(path, keys)
    return LayerFile(
        layer, role, str(path.relative_to(root)), rate_hz, 1, samples * 1000 // rate_hz, size, digest, state, spool,
    )  # fmt: skip


def layer_event(call_id: CallId, file: LayerFile) -> LiveEvent:
    return LiveEvent(call_id, EventKind.LAYER, {"layer": file.layer, "role": file.role, "state": file.state})
