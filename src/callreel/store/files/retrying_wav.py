"""A growing WAV file whose disk may refuse for a while: what could not be written waits in memory and goes first later.

For calls in progress, which cannot wait for somebody to make room. Bounded: at most `patience_s` of audio waits; what
comes beyond is counted as lost and becomes silence, so that what follows lies where it belongs. Nothing here raises for
what the disk does; `trouble` says it.
"""

import logging
from collections import deque

import numpy as np
import numpy.typing as npt

from callreel.domain.errors import StoreError
from callreel.store.files.growing_wav import GrowingWav

log = logging.getLogger(__name__)

PATIENCE_S = 120.0


class RetryingWav:
    """Like `GrowingWav`, which it owns. One thread at a time may use it."""

    __slots__ = (
        "_file",
        "_owed_silence",
        "_room",
        "_waiting",
        "_waiting_samples",
        "lost_samples",
        "trouble",
    )

    def __init__(self, file: GrowingWav, *, patience_s: float = PATIENCE_S) -> None:
        self._file = file
        self._room = round(patience_s * file.rate_hz)
        self._waiting: deque[npt.NDArray[np.int16]] = deque()
        self._waiting_samples = 0
        self._owed_silence = 0
        self.lost_samples = 0
        """Samples that were silenced because there was no more room to wait."""
        self.trouble: str | None = None
        """What the disk refuses now; None while all is well."""

    @property
    def samples(self) -> int:
        """Of the file as it will be once the disk takes what waits."""
        return self._file.samples + self._waiting_samples + self._owed_silence

    def append(self, samples: npt.NDArray[np.int16]) -> None:
        """Write `samples` (int16, shape [n]), now or when the disk takes them again."""
        if self.trouble is None:  # so nothing waits
            if not self._write(samples):
                self._wait(samples)
            return
        if self._waiting or self._owed_silence:
            self._flush()
        behind = self._waiting or self._owed_silence
        if behind or not self._write(samples):
            self._wait(samples)

    def close(self, *, sync: bool = True) -> None:
        """Write what waits, if the disk takes it, and close. What it still refuses is counted as lost.

        `sync` as in `GrowingWav.close`.
        """
        self._flush()
        if self._waiting:
            self.lost_samples += self._waiting_samples
            log.error("a live layer was closed with audio missing at its end: %s", self.trouble)
            self._waiting.clear()
            self._waiting_samples = self._owed_silence = 0
        try:
            self._file.close(sync=sync)
        except StoreError as error:
            self._complain(error)

    def _write(self, samples: npt.NDArray[np.int16]) -> bool:
        try:
            self._file.append(samples)
        except StoreError as error:
            self._complain(error)
            return False
        if self.trouble is not None:
            log.warning("a live layer grows again: %s", self._file.path.name)
            self.trouble = None
        return True

    def _wait(self, samples: npt.NDArray[np.int16]) -> None:
        # Once silence is owed, all that follows must wait behind it.
        if self._owed_silence or self._waiting_samples + samples.size > self._room:
            self._owed_silence += samples.size
            self.lost_samples += samples.size
            return
        self._waiting.append(samples.copy())
        self._waiting_samples += samples.size

    def _flush(self) -> None:
        while self._waiting:
            if not self._write(self._waiting[0]):
                return
            self._waiting_samples -= self._waiting.popleft().size
        if self._owed_silence:
            try:
                self._file.pad_to(self._file.samples + self._owed_silence)
                self._owed_silence = 0
            except StoreError as error:
                self._complain(error)

    def _complain(self, error: StoreError) -> None:
        if self.trouble is None:
            log.error("%s; what comes waits in memory", error)
        self.trouble = str(error)
