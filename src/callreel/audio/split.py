"""The channels of a file as arrays of their own. Which party a channel holds is `domain.call.Topology`'s business."""

import numpy as np
import numpy.typing as npt


def split_channels(interleaved: npt.NDArray[np.int16]) -> tuple[npt.NDArray[np.int16], ...]:
    """One contiguous array [n] a channel, channel 1 first, of `interleaved` [n, channels] or [n]."""
    if interleaved.ndim == 1:
        return (np.ascontiguousarray(interleaved),)
    if interleaved.ndim != 2:
        raise ValueError(f"expected samples of shape [n, channels], got {interleaved.ndim} dimensions")
    return tuple(np.ascontiguousarray(interleaved[:, channel]) for channel in range(interleaved.shape[1]))
