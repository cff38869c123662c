"""A growing WAV file that survives a failing disk: samples that could not be written wait in memory and go first later.

Live audio cannot wait until somebody frees disk space. The backlog is bounded by `max_backlog_s`; audio beyond it counts as
lost and becomes silence, so that later audio keeps its position. No method raises when the disk fails: `error` says so.
"""

import logging
from collections import deque

import numpy as np
import numpy.typing as npt

from callreel.domain.errors import StoreError
from callreel.store.files.growing_wav import GrowingWav

log = logging.getLogger(__name__)

MAX_BACKLOG_S = 120.0


class RetryingWav:
    """Owns a `GrowingWav` and has its methods. For one thread at a time."""

    __slots__ = (
        "_file",
        "_pending_silence",
        "_max_backlog",
        "_backlog",
        "_backlog_samples",
        "lost_samples",
        "error",
    )

    def __init__(self, file: GrowingWav, *, max_backlog_s: float = MAX_BACKLOG_S) -> None:
        self._file = file
        self._max_backlog = round(max_backlog_s * file.rate_hz)
        self._backlog: deque[npt.NDArray[np.int16]] = deque()
        self._backlog_samples = 0
        self._pending_silence = 0
        self.lost_samples = 0
        """Samples that became silence because the backlog was full."""
        self.error: str | None = None
        """The current error of the disk, None while it works."""

    @property
    def samples(self) -> int:
        """Of the file once the backlog is written."""
        return self._file.samples + self._backlog_samples + self._pending_silence

    def append(self, samples: npt.NDArray[np.int16]) -> None:
        """Write `samples` (int16, shape [n]), now or when the disk works again."""
        if self.error is None:  # so the backlog is empty
            if not self._write(samples):
                self._queue(samples)
            return
        if self._backlog or self._pending_silence:
            self._flush()
        behind = self._backlog or self._pending_silence
        if behind or not self._write(samples):
            self._queue(samples)

    def close(self, *, sync: bool = True) -> None:
        """Write the backlog and close; if the disk still fails, the backlog counts as lost. `sync` as in `GrowingWav`."""
        self._flush()
        if self._backlog:
            self.lost_samples += self._backlog_samples
            log.error("live layer closed with audio missing at its end: %s", self.error)
            self._backlog.clear()
            self._backlog_samples = self._pending_silence = 0
        try:
            self._file.close(sync=sync)
        except StoreError as error:
            self._note_error(error)

    def _write(self, samples: npt.NDArray[np.int16]) -> bool:
        try:
            self._file.append(samples)
        except StoreError as error:
            self._note_error(error)
            return False
        if self.error is not None:
            log.warning("live layer writable again file=%s", self._file.path.name)
            self.error = None
        return True

    def _queue(self, samples: npt.NDArray[np.int16]) -> None:
        # All later samples must queue behind pending silence.
        if self._pending_silence or self._backlog_samples + samples.size > self._max_backlog:
            self._pending_silence += samples.size
            self.lost_samples += samples.size
            return
        self._backlog.append(samples.copy())
        self._backlog_samples += samples.size

    def _flush(self) -> None:
        while self._backlog:
            if not self._write(self._backlog[0]):
                return
            self._backlog_samples -= self._backlog.popleft().size
        if self._pending_silence:
            try:
                self._file.pad_to(self._file.samples + self._pending_silence)
                self._pending_silence = 0
            except StoreError as error:
                self._note_error(error)

    def _note_error(self, error: StoreError) -> None:
        if self.error is None:
            log.error("%s; further audio waits in memory", error)
        self.error = str(error)
