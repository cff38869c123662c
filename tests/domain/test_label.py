import pytest

from callreel.domain.label import LONGEST_LABEL, checked_name


def test_name_has_single_spaces() -> None:
    assert checked_name("  spare   part ") == "spare part"
    assert checked_name("Ä" * LONGEST_LABEL) == "Ä" * LONGEST_LABEL


@pytest.mark.parametrize(
    "name", ["", "  ", "x" * (LONGEST_LABEL + 1), "a|b", "a=b", "a*", "a;b", "a?", "[a]"]
)
def test_name_that_a_rule_cannot_hold_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="a label's name"):
        checked_name(name)
