"""The topic of a call, by its own words and those of other calls."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callreel.domain.call import Role
from callreel.insight.topic import FEWEST_WORDS, MOST_CANDIDATES, candidates, topic_of
from tests.asr.clips import FOLDER
from tests.support.service_call import shipped_lines

ELEVATOR = [(line.role, line.text) for line in shipped_lines()]
FILLER = (Role.AGENT, "okay so then let me see what we can do about it right now " * 5)


def topic(
    turns: list[tuple[Role, str]], in_calls: dict[str, int] | None = None, others: int = 0
) -> str | None:
    found = candidates(turns, "en")
    return topic_of(found, in_calls or {}, others) if found else None


def both(*texts: str) -> list[tuple[Role, str]]:
    """The texts, said by the parties in turn, in a call that is long enough."""
    return [FILLER, *((list(Role)[number % 2], text) for number, text in enumerate(texts))]


def test_what_both_parties_say_often_is_the_topic() -> None:
    assert topic(ELEVATOR) == "door, elevator, switch"


def test_neighbors_become_one_phrase_in_its_usual_form() -> None:
    said = both("The billing statement.", "My billing statements?", "Your Billing Statement, yes.")
    assert topic(said) == "billing statement"


def test_words_of_most_other_calls_are_no_topic() -> None:
    said = both("The account has no router.", "The router of the account?", "Account, router.")
    assert topic(said) == "account, router"
    assert topic(said, {"account": 19, "router": 1}, 20) == "router"
    assert topic(said, {"account": 19, "router": 19}, 20) is None


@pytest.mark.parametrize(
    "said",
    [
        both("Hello Stephen.", "Hi Margaret.", "Thank you, Margaret.", "Thanks, Stephen."),
        both("[card number] [card number]", "[e-mail address]", "[card number]"),
        both("4411 4411 4411", "Call 4411."),
        both("The elevator.", "A boiler.", "Some valve."),
        both("I'll check, I'll check.", "don't, don't", "it's, it's"),
        both("Eleven, fifty, fifteen.", "Ninety, eleven, fifty?", "Fifteen, eleven, ninety, fifty."),
        both("Uhm, gonna, mmm.", "Umm, wanna, gonna, uhm.", "Gotta, mmm, umm, uhm, gonna, wanna, gotta."),
        both("Shit, shit, damn.", "Damn, fucking shit."),
        both("My password is swordfish.", "Swordfish?", "Yes, swordfish.", "Swordfish it is."),
        both("What is your PIN code?", "It's banana tango.", "Banana tango?", "Banana tango, banana."),
        both("My password is", "Swordfish.", "Swordfish?", "Yes, swordfish."),
    ],
    ids=[
        "names",
        "masks",
        "numbers",
        "said once",
        "contractions",
        "number words",
        "sounds",
        "swear words",
        "password",
        "answer with a password",
        "password of the next turn",
    ],
)
def test_unsure_text_has_no_topic(said: list[tuple[Role, str]]) -> None:
    assert topic(said) is None


def test_other_words_after_a_password_may_be_the_topic() -> None:
    said = both(
        "My password is not for the router.",
        "The router?",
        "The password is swordfish and the router is new.",
    )
    assert topic(said) == "router"


def test_short_text_and_other_languages_have_no_topic() -> None:
    short = [(Role.AGENT, "router " * (FEWEST_WORDS - 1))]
    assert candidates(short, "en") is None
    assert candidates([(Role.AGENT, "router " * FEWEST_WORDS)], "en") is not None
    assert candidates(ELEVATOR, "de") is None
    assert candidates(ELEVATOR, "") is None


WORDS = [
    "router",
    "routers",
    "boiler",
    "pump",
    "the",
    "of",
    "Anna",
    "Hello",
    "4711",
    "[card number]",
    "it’s",
    ",",
    "ß",
    ".",
]


@given(
    st.lists(
        st.tuples(st.sampled_from(Role), st.lists(st.sampled_from(WORDS), max_size=40).map(" ".join)),
        max_size=8,
    )
)
def test_topic_has_only_repeated_words_of_the_call(said: list[tuple[Role, str]]) -> None:
    found = candidates([FILLER, *said], "en")
    assert found is not None and len(found.weights) <= MOST_CANDIDATES
    line = topic_of(found, {}, 0)
    assert line == topic_of(found, {}, 0)
    text = " ".join(text for _, text in said).casefold()
    for word in (line or "").replace(",", "").split():
        assert text.count(word.removesuffix("s")) >= 2
        assert word in ("router", "routers", "boiler", "pump", "anna", "hello")


@given(st.lists(st.tuples(st.sampled_from(Role), st.text(max_size=300)), max_size=6))
def test_any_text_is_accepted(said: list[tuple[Role, str]]) -> None:
    topic([FILLER, *said])


def test_topics_of_the_shared_calls_are_those_that_were_read() -> None:
    """docs/insight.md lists and judges them."""
    folder = FOLDER / "calls"
    if not folder.is_dir():
        pytest.skip(f"no recorded calls at {folder}")
    roles = (Role.AGENT, Role.TECHNICIAN)
    calls = {
        path.stem: candidates(
            [(roles[one["channel"]], one["text"]) for one in json.loads(path.read_text())["turns"]], "en"
        )
        for path in sorted(folder.glob("*.json"))
    }
    found = {}
    for name, call in calls.items():
        others = [one for other, one in calls.items() if other != name and one is not None]
        assert call is not None
        in_calls = {word: sum(word in one.spoken.values() for one in others) for word in call.spoken.values()}
        found[name] = topic_of(call, in_calls, len(others))
    assert found == {
        "composed_austen_libri": None,
        "composed_mixed": "book, country",
        "real_chromecast": "regular chromecast, black",
        "real_katie_steve": "diarization",
        "vcon_26fe45f6": "nervous, communication, improve",
        "vcon_5ca2865c": "data, artists",
        "vcon_9f452ce1": "billing statement",
        "vcon_ae21cb70": "privacy, personal",
        "vcon_d15376d0": "inventory",
        "vcon_fbb909fa": "arrangement, delivery, order",
        "vcon_fd5e12f5": "project, shipping, order",
    }
