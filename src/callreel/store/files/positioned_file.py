"""A seekable file over bytes that come from elsewhere: what the kinds of such files have in common."""

import io
import os


class PositionedFile(io.RawIOBase):
    """Subclasses set `size_bytes`, and read or write at `_at`, which they move on. For one thread at a time."""

    def __init__(self, size_bytes: int = 0) -> None:
        self.size_bytes = size_bytes
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size_bytes}[whence]
        self._at = max(0, start + offset)
        return self._at

    def tell(self) -> int:
        return self._at
