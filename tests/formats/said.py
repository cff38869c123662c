"""Turns for the tests of formats."""

from hypothesis import strategies as st

from callreel.domain.call import Role
from callreel.domain.transcript import Turn, Word

NAMES = {Role.AGENT: "Agent", Role.TECHNICIAN: "R&D <tech>"}


def turn(text: str, start_ms: int = 0, role: Role = Role.AGENT, word_ms: int = 300) -> Turn:
    """`text` with a word every `word_ms`."""
    words = tuple(
        Word(piece, start_ms + word_ms * n, start_ms + word_ms * (n + 1) - 20, 0.5)
        for n, piece in enumerate(text.split())
    )
    end_ms = words[-1].end_ms if words else start_ms
    return Turn(role, start_ms, end_ms, text, 0.5, words)


TURNS = st.lists(
    st.builds(
        turn,
        st.lists(
            st.sampled_from(["a", "-->", "<i>", "&amp;", "=1+2", "{\\an8}", "ünï", "1", "x" * 50]),
            max_size=30,
        ).map(" ".join),
        st.integers(0, 9_000_000),
        st.sampled_from(list(Role)),
    ),
    max_size=6,
)
"""Includes text that is markup in one of the formats."""
