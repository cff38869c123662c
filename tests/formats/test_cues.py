"""Cutting turns into cues."""

from hypothesis import given

from callreel.domain.call import Role
from callreel.domain.transcript import Turn
from callreel.formats.cues import LONGEST_MS, LONGEST_TEXT, cues
from tests.formats.said import TURNS, turn


def test_short_turns_are_one_cue() -> None:
    (cue,) = cues([turn("hello there", 500)])
    assert (cue.start_ms, cue.end_ms, cue.text) == (500, 1080, "hello there")


def test_cues_break_at_pauses() -> None:
    first, second = turn("one two", 0), turn("three", 5000)
    joined = Turn(Role.AGENT, 0, second.end_ms, "one two three", None, first.words + second.words)
    assert [cue.text for cue in cues([joined])] == ["one two", "three"]


def test_mismatched_words_are_spread_over_the_turn() -> None:
    said = Turn(Role.AGENT, 100, 100, "a  b\nc", None)
    assert [(cue.start_ms, cue.end_ms, cue.text) for cue in cues([said])] == [(100, 101, "a b c")]


@given(TURNS)
def test_no_word_is_lost_and_cues_can_be_read(turns: list[Turn]) -> None:
    found = cues(turns)
    assert sorted(word for cue in found for word in cue.text.split()) == sorted(
        word for said in turns for word in said.text.split()
    )
    for cue in found:
        assert cue.end_ms > cue.start_ms
        assert len(cue.text) <= LONGEST_TEXT or " " not in cue.text
        assert cue.end_ms - cue.start_ms <= LONGEST_MS or " " not in cue.text
    assert found == sorted(found, key=lambda cue: (cue.start_ms, cue.role))


def test_text_without_spaces_is_cut() -> None:
    wide = cues([Turn(Role.AGENT, 0, 6_000, "請檢查鍋爐" * 60, None)])
    long = cues([Turn(Role.AGENT, 0, 6_000, "x" * 5_000, None)])
    assert "".join(cue.text for cue in wide) == "請檢查鍋爐" * 60
    assert "".join(cue.text for cue in long) == "x" * 5_000
    assert max(len(cue.text) for cue in wide) <= LONGEST_TEXT // 2
    assert max(len(cue.text) for cue in long) == LONGEST_TEXT
    assert [cue.end_ms for cue in long[:-1]] == [cue.start_ms for cue in long[1:]]
