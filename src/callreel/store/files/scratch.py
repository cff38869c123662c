"""A temporary file without a name, whose bytes are encrypted on the disk with a key that only this process's memory has.

For audio that is too long for memory. Any part may be written again, as encoders do with a file's head. Pages are encrypted
by AES-256-GCM, with a new nonce at each writing.
"""

import os
import tempfile
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from callreel.store.files.durable_files import write_at
from callreel.store.files.positioned_file import PositionedFile

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

_PAGE = 64 * 1024
_STORED = 12 + _PAGE + 16


class ScratchFile(PositionedFile):
    """Readable, writable and seekable, for one thread; gone when it is closed. Raises OSError."""

    def __init__(self) -> None:
        super().__init__()
        self._file = tempfile.TemporaryFile(buffering=0)
        self._aead = AESGCM(AESGCM.generate_key(256))
        self._number = -1
        self._page = bytearray(_PAGE)
        self._changed = False

    def writable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        target = memoryview(buffer).cast("B")
        within, count = self._turn_to_page(min(len(target), self.size_bytes - self._at))
        if count <= 0:
            return 0
        target[:count] = self._page[within : within + count]
        self._at += count
        return count

    def write(self, data: "ReadableBuffer", /) -> int:
        view = memoryview(data).cast("B")
        written = 0
        while written < len(view):
            within, count = self._turn_to_page(len(view) - written)
            self._page[within : within + count] = view[written : written + count]
            self._changed = True
            written += count
            self._at += count
            self.size_bytes = max(self.size_bytes, self._at)
        return written

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()

    def _turn_to_page(self, wanted: int) -> tuple[int, int]:
        """The position within its page, and how much of `wanted` is on it."""
        number, within = divmod(self._at, _PAGE)
        if number != self._number:
            self._store_page()
            stored = os.pread(self._file.fileno(), _STORED, number * _STORED)
            opened = (
                self._aead.decrypt(stored[:12], stored[12:], str(number).encode()) if any(stored) else b""
            )
            self._page[:] = opened or bytes(_PAGE)
            self._number = number
        return within, min(wanted, _PAGE - within)

    def _store_page(self) -> None:
        if self._changed:
            nonce = os.urandom(12)
            sealed = self._aead.encrypt(nonce, bytes(self._page), str(self._number).encode())
            write_at(self._file.fileno(), nonce + sealed, self._number * _STORED)
            self._changed = False
