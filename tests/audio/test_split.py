import numpy as np
import pytest

from callreel.audio.split import split_channels


def test_each_channel_is_an_array_of_its_own() -> None:
    interleaved = np.array([[1, -1], [2, -2], [3, -3]], np.int16)
    first, second = split_channels(interleaved)
    assert first.tolist() == [1, 2, 3]
    assert second.tolist() == [-1, -2, -3]
    assert first.flags.c_contiguous and second.flags.c_contiguous


@pytest.mark.parametrize("mono", [np.array([1, 2], np.int16), np.array([[1], [2]], np.int16)])
def test_one_channel_stays_one(mono: np.ndarray) -> None:
    (only,) = split_channels(mono)
    assert only.tolist() == [1, 2]


def test_other_shapes_are_misuse() -> None:
    with pytest.raises(ValueError, match="3 dimensions"):
        split_channels(np.zeros((1, 2, 3), np.int16))
