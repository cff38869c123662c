"""A trend as a small line in a table: the points of an SVG polyline, and its values as text. Pure."""

from collections.abc import Sequence
from typing import Final

WIDTH: Final = 96
HEIGHT: Final = 20


def points(values: Sequence[float | None]) -> str:
    """Points from left to right in a drawing of `WIDTH` by `HEIGHT` whose scale begins at 0; values of None are left out.

    Empty for fewer than two points, which make no line.
    """
    known = [(at, value) for at, value in enumerate(values) if value is not None]
    if len(known) < 2:
        return ""
    top = max(value for _, value in known) or 1
    step = WIDTH / (len(values) - 1)
    return " ".join(f"{at * step:.1f},{HEIGHT - HEIGHT * value / top:.1f}" for at, value in known)


def spoken(values: Sequence[float | None]) -> str:
    """The values, oldest first; a dash for None."""
    return ", ".join("–" if value is None else f"{value:g}" for value in values)
