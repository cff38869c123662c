"""A ZIP file in pieces, made while it is sent: it exists as a whole neither in memory nor on disk."""

import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class Member:
    """A file in the ZIP file. `blocks` have `size_bytes` bytes in all; they are read when it is its turn."""

    name: str
    size_bytes: int
    blocks: Iterable[bytes]


class ZipOutlet:
    """What a ZIP file is written to: it keeps the bytes until they are taken."""

    def __init__(self) -> None:
        self._kept = bytearray()

    def write(self, data: bytes, /) -> int:
        self._kept += data
        return len(data)

    def flush(self) -> None:
        """Nothing waits elsewhere."""

    def close(self) -> None:
        """The bytes can still be taken."""

    def taken(self) -> bytes:
        """The bytes since the last time."""
        kept = bytes(self._kept)
        self._kept.clear()
        return kept


def zip_pieces(members: Iterable[Member], at: datetime) -> Iterator[bytes]:
    """A ZIP file of `members`, not compressed, which all have the time `at`. Holds one block at a time."""
    outlet = ZipOutlet()
    time = at.astimezone(UTC).timetuple()[:6]
    with zipfile.ZipFile(outlet, "w", zipfile.ZIP_STORED) as made:
        for member in members:
            info = zipfile.ZipInfo(member.name, time)
            info.file_size = member.size_bytes  # decides between 32 and 64 bits
            with made.open(info, "w") as file:
                for block in member.blocks:
                    file.write(block)
                    yield outlet.taken()
    yield outlet.taken()


def zip_size(members: Sequence[Member], at: datetime) -> int | None:
    """The size of the ZIP file, without reading a block; None if it is so large that it has fields of 64 bits."""
    content = sum(member.size_bytes for member in members)
    if content * 1.05 > zipfile.ZIP64_LIMIT:
        return None
    around = zip_pieces([replace(member, size_bytes=0, blocks=()) for member in members], at)
    return content + sum(map(len, around))
