import pytest

from callreel.domain.caller import WITHHELD, caller_number


@pytest.mark.parametrize(
    "sent",
    [
        "", " ", "+", "anonymous", "Anonymous", "Restricted", "UNKNOWN", "unavailable", "+266696687", "266696687",
        "+7378742833", "+2562533", "+86282452253", "+8656696", "sip:anonymous@anonymous.invalid",
    ],
)  # fmt: skip
def test_withheld_number_is_recognised(sent: str) -> None:
    assert caller_number(sent) == WITHHELD


@pytest.mark.parametrize(
    "sent", ["+12125550123", "+2666966871", "+26622312345", "sip:bob@example.com", "desk"]
)
def test_other_callers_keep_their_number(sent: str) -> None:
    assert caller_number(sent) == sent
