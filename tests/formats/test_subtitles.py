"""SubRip and WebVTT, read back by pysubs2."""

import pysubs2
import pytest
from hypothesis import given

from callreel.domain.call import Role
from callreel.domain.transcript import Turn
from callreel.formats.cues import LONGEST_TEXT, cues
from callreel.formats.subtitles import subrip, webvtt
from tests.formats.said import NAMES, TURNS, turn


def test_subrip_text_is_exact() -> None:
    written = subrip([turn("hello", 3_723_004), turn("yes", 3_725_000, Role.TECHNICIAN)], NAMES)
    assert written == (
        "1\n01:02:03,004 --> 01:02:03,284\nAgent: hello\n\n2\n01:02:05,000 --> 01:02:05,280\nR&D ‹tech›: yes\n"
    )


def test_webvtt_text_is_exact() -> None:
    written = webvtt([turn("a --> b & <c>", 0, Role.TECHNICIAN)], NAMES)
    assert written == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.480\n<v R&amp;D &lt;tech&gt;>a --&gt; b &amp; &lt;c&gt;\n"
    )


def test_without_turns_files_are_empty() -> None:
    assert subrip([], NAMES) == ""
    assert webvtt([], NAMES) == "WEBVTT\n"


@given(TURNS)
def test_times_and_number_of_cues_are_read_back(turns: list[Turn]) -> None:
    wanted = [(cue.start_ms, cue.end_ms) for cue in cues(turns)]
    for written, format_ in ((subrip(turns, NAMES), "srt"), (webvtt(turns, NAMES), "vtt")):
        read = pysubs2.SSAFile.from_string(written, format_=format_)
        assert sorted((event.start, event.end) for event in read) == sorted(wanted)


@given(TURNS)
def test_no_cue_text_ends_or_begins_a_cue(turns: list[Turn]) -> None:
    for block in webvtt(turns, NAMES).split("\n\n")[1:]:
        time, text = block.strip("\n").split("\n")
        assert "-->" in time
        assert "-->" not in text


@pytest.mark.parametrize(
    "text",
    [
        "see 1 00:00:01.000 --> 00:00:02.000 hacked",
        "go --> left <b>now</b>",
        "{\\an8}up {b} \\N down",
        "請檢查鍋爐" * 60,
        "x" * 5000,
    ],
    ids=lambda text: text[:12],
)
def test_subrip_text_is_no_markup_and_short_enough(text: str) -> None:
    spoken = Turn(Role.AGENT, 0, 6_000, text, None)
    written = subrip([spoken], NAMES)
    read = pysubs2.SSAFile.from_string(written, format_="srt")
    assert len(read) == len(cues([spoken])) == written.count(" --> ")
    assert all(len(event.plaintext) <= len("Agent: ") + LONGEST_TEXT for event in read)
    shown = "".join(event.plaintext.removeprefix("Agent: ") for event in read)
    signs = str.maketrans("<>{}\\", "‹›()/", " ")
    assert shown.replace(" ", "").replace("∶", ":") == text.replace("-->", "→").translate(signs)
    assert not any(markup in written for markup in ("<", "{", "\\"))
