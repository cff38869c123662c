"""The line of a trend stays within its drawing, and says its values as text."""

from hypothesis import given
from hypothesis import strategies as st

from callreel.web.pages import sparkline

VALUES = st.lists(st.none() | st.floats(0, 1e9), max_size=12)


def test_line_begins_left_and_its_greatest_value_is_at_the_top() -> None:
    assert sparkline.points([0, 5, 10]) == "0.0,20.0 48.0,10.0 96.0,0.0"
    assert sparkline.points([1, None, 1]) == "0.0,0.0 96.0,0.0"
    assert sparkline.points([0, 0]) == "0.0,20.0 96.0,20.0"
    assert sparkline.spoken([1.5, None, 0]) == "1.5, –, 0"


@given(VALUES)
def test_line_has_a_point_for_each_value_within_the_drawing(values: list[float | None]) -> None:
    found = [tuple(map(float, point.split(","))) for point in sparkline.points(values).split()]
    known = sum(value is not None for value in values)
    assert len(found) == (known if known > 1 else 0)
    assert all(0 <= x <= sparkline.WIDTH and 0 <= y <= sparkline.HEIGHT for x, y in found)
    assert found == sorted(found, key=lambda point: point[0])
