"""ZIP files in pieces: what readers find in them, their size beforehand, and how little is held."""

import io
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from callreel.formats.zip_pieces import Member, zip_pieces, zip_size

AT = datetime(2026, 11, 22, 12, 0, 30, tzinfo=UTC)
BLOCK = bytes(range(256)) * 256


def blocks(count: int, taken: list[int]) -> Iterator[bytes]:
    for number in range(count):
        taken.append(number)
        yield BLOCK


def test_readers_find_the_members_and_the_size_is_known_before() -> None:
    taken: list[int] = []
    members = [
        Member("call/cloud.wav", 40 * len(BLOCK), blocks(40, taken)),
        Member("call/transcript.txt", 5, (b"hello",)),
        Member("call/né.txt", 0, ()),
    ]
    size = zip_size(members, AT)
    assert taken == []
    pieces = zip_pieces(members, AT)
    first = next(pieces)
    assert taken == [0] and len(first) < 2 * len(BLOCK), "sent before the rest is read"
    rest = list(pieces)
    assert max(map(len, rest)) < 2 * len(BLOCK)
    whole = b"".join([first, *rest])
    assert len(whole) == size
    with zipfile.ZipFile(io.BytesIO(whole)) as made:
        assert made.testzip() is None
        assert made.namelist() == [member.name for member in members]
        assert made.read("call/cloud.wav") == BLOCK * 40
        info = made.getinfo("call/transcript.txt")
        assert (info.compress_type, info.date_time) == (zipfile.ZIP_STORED, (2026, 11, 22, 12, 0, 30))


def test_size_of_a_member_beyond_32_bits_is_not_promised() -> None:
    assert zip_size([Member("long.wav", 3_000_000_000, ())], AT) is None


def test_failing_member_ends_the_file_without_its_directory() -> None:
    def failing() -> Iterator[bytes]:
        yield BLOCK
        raise OSError("the disk is gone")

    sent = []
    with pytest.raises(OSError, match="gone"):
        for piece in zip_pieces([Member("a.wav", 2 * len(BLOCK), failing())], AT):
            sent.append(piece)
    assert not zipfile.is_zipfile(io.BytesIO(b"".join(sent)))
