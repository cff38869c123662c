"""Range headers: each form of RFC 9110, section 14, and arbitrary text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callreel.web.ranges import ByteRange, UnsatisfiableRangeError, parse_range


@pytest.mark.parametrize(
    ("header", "size", "wanted"),
    [
        ("bytes=0-0", 10, (0, 0)),
        ("bytes=2-5", 10, (2, 5)),
        ("bytes=2-", 10, (2, 9)),
        ("bytes=2-99", 10, (2, 9)),
        ("bytes=-3", 10, (7, 9)),
        ("bytes=-99", 10, (0, 9)),
        ("BYTES= 0-1 ", 10, (0, 1)),
    ],
)
def test_single_range_is_parsed(header: str, size: int, wanted: tuple[int, int]) -> None:
    assert parse_range(header, size) == ByteRange(*wanted, size)


@pytest.mark.parametrize(
    "header", [None, "", "bytes=", "bytes=-", "bytes=5-2", "bytes=0-1,4-5", "lines=1-2", "bytes=a-b"]
)
def test_other_range_headers_return_the_whole_file(header: str | None) -> None:
    assert parse_range(header, 10) is None


@pytest.mark.parametrize(
    ("header", "size"),
    [("bytes=10-", 10), ("bytes=99-100", 10), ("bytes=-0", 10), ("bytes=0-", 0), ("bytes=-5", 0)],
)
def test_range_outside_the_file_is_unsatisfiable(header: str, size: int) -> None:
    with pytest.raises(UnsatisfiableRangeError):
        parse_range(header, size)


@given(st.text(max_size=30) | st.from_regex(r"bytes=\d*-\d*", fullmatch=True), st.integers(0, 10**12))
def test_any_range_lies_within_the_file(header: str, size: int) -> None:
    try:
        part = parse_range(header, size)
    except UnsatisfiableRangeError:
        return
    if part is not None:
        assert 0 <= part.first <= part.last < size
        assert part.content_range == f"bytes {part.first}-{part.first + part.length - 1}/{size}"
