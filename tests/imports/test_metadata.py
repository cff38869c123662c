"""Metadata files: CSV and JSON, with one clear message for each fault."""

import json
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from callreel.domain.call import Direction, Role
from callreel.domain.caller import WITHHELD
from callreel.imports.metadata import COLUMNS, Defaults, Metadata, MetadataError, read_row, read_rows

DEFAULTS = Defaults(ZoneInfo("Europe/Berlin"), "US", "desk", Direction.INCOMING)


def test_row_has_all_columns() -> None:
    row = {"file": "a/b.wav", "started_at": "2026-11-21T14:03:00", "agent": "maria", "number": "212 555 0123",
           "direction": "outgoing", "agent_channel": "2", "party": "technician"}  # fmt: skip
    assert set(row) == set(COLUMNS)
    assert read_row(row, DEFAULTS) == Metadata(
        "a/b.wav", datetime(2026, 11, 21, 13, 3, tzinfo=UTC), "maria", "+12125550123", Direction.OUTGOING, 2, Role.TECHNICIAN,
    )  # fmt: skip


def test_missing_values_have_defaults() -> None:
    found = read_row({"file": "a.wav", "number": "Anonymous"}, DEFAULTS)
    assert found == Metadata("a.wav", None, "desk", WITHHELD, Direction.INCOMING)


@pytest.mark.parametrize(
    ("column", "value"),
    [("started_at", "21.11.2026"), ("number", "call me"), ("direction", "up"), ("agent_channel", "3"), ("party", "me"),
     ("agent", "a" * 201), ("agent", "a\0b"), ("agent", "a\nb")],
)  # fmt: skip
def test_wrong_value_is_named_by_its_column(column: str, value: str) -> None:
    with pytest.raises(MetadataError, match=column):
        read_row({"file": "a.wav", column: value}, DEFAULTS)


def test_csv_and_json_give_the_same_rows(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(
        '\ufefffile,agent,agent_channel\r\n"x, y.wav", maria ,1\r\nz.wav,,\r\n'.encode()
    )
    rows = [
        {"file": "x, y.wav", "agent": "maria", "agent_channel": 1},
        {"file": "z.wav", "agent": None, "agent_channel": ""},
    ]
    (tmp_path / "a.json").write_text(json.dumps(rows))
    assert read_rows(tmp_path / "a.csv") == read_rows(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"file,naem\na.wav,x\n", "unknown column 'naem'"),
        ("a.csv", b"agent\nx\n", "no column 'file'"),
        ("a.csv", b"", "no column 'file'"),
        ("a.csv", b"file\na.wav,1,2\n", "row 2 of a.csv has more values"),
        ("a.csv", b'file\n"a.wav\n', "is not CSV"),
        ("a.csv", b"file\n" + b"x" * 200_000, "is not CSV"),
        ("a.csv", b"\xff\xfe", "is not UTF-8"),
        ("a.json", b"{", "is not JSON"),
        ("a.json", b"[" * 100_000, "is not JSON"),
        ("a.json", b'{"file": "a.wav"}', "expected a list of objects"),
        ("a.json", b'[{"file": ["a.wav"]}]', "expected text"),
        ("a.json", b'[{"agent": "x"}]', "no column 'file'"),
        ("a.xlsx", b"", "expected metadata as .csv or .json"),
    ],
)
def test_unusable_file_is_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(MetadataError, match=message):
        read_rows(tmp_path / name)
    with pytest.raises(MetadataError, match="cannot be read"):
        read_rows(tmp_path / "missing.csv")
