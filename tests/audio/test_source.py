"""Samples by place."""

import numpy as np
import pytest

from callreel.audio.source import last_sound


@pytest.mark.parametrize("sounding", [[], [3], [0, 99], [10, 57], [20]])
@pytest.mark.parametrize("block", [1, 7, 8_000])
def test_the_last_sound_is_found_wherever_blocks_are_cut(sounding: list[int], block: int) -> None:
    samples = np.zeros(120, np.int16)
    samples[sounding] = 5
    within = [at for at in sounding if 10 <= at < 100]
    assert last_sound(samples, 10, 100, block) == max([at + 1 for at in within], default=10)
