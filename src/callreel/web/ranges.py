"""The `Range` header of HTTP for one file (RFC 9110, section 14). Pure: no file is opened here.

One range is served. Several ranges, other units and malformed headers get the whole file: the RFC allows a server to
ignore `Range`.
"""

import re
from dataclasses import dataclass

_ONE_RANGE = re.compile(r"bytes=\s*(?P<first>\d{0,19})-(?P<last>\d{0,19})\s*", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes `first` up to and including `last` of a file of `size` bytes; 0 <= first <= last < size."""

    first: int
    last: int
    size: int

    @property
    def length(self) -> int:
        return self.last - self.first + 1

    @property
    def content_range(self) -> str:
        return f"bytes {self.first}-{self.last}/{self.size}"


class UnsatisfiableRangeError(ValueError):
    """The range begins after the end of the file: the answer is 416 with `bytes */size`."""


def parse_range(header: str | None, size: int) -> ByteRange | None:
    """The requested part of a file of `size` bytes (>= 0); None for all of it. Raises UnsatisfiableRangeError."""
    match = _ONE_RANGE.fullmatch(header or "")
    if match is None:
        return None
    first, last = match["first"], match["last"]
    if not first and not last:
        return None
    if not first:  # a suffix: the last n bytes
        wanted = min(int(last), size)
        if wanted == 0:
            raise UnsatisfiableRangeError(f"the last {last} bytes of {size}")
        return ByteRange(size - wanted, size - 1, size)
    if last and int(last) < int(first):
        return None
    if int(first) >= size:
        raise UnsatisfiableRangeError(f"from byte {first} of {size}")
    return ByteRange(int(first), min(int(last), size - 1) if last else size - 1, size)
