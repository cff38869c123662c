"""Pictures of pages in both color schemes, taken and checked by a test.

They are saved in a temporary folder, or in `CALLREEL_PICTURES`, where `make pictures` saves those of the documentation.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
from playwright.sync_api import Locator, Page, expect

PICTURES = os.environ.get("CALLREEL_PICTURES")
MOST_BYTES = 250_000
"""The most that a documentation page should load for one picture."""
PATIENCE_MS = 60_000
_FEWEST_COLOURS = 100


class Album:
    """Keeps pictures in a folder, by name and scheme."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(PICTURES or folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._taken: list[tuple[Path, tuple[int, int], range]] = []

    def take(
        self,
        page: Page,
        name: str,
        shows: Sequence[Locator],
        height: int | None = None,
        *,
        scrolled: bool = False,
    ) -> None:
        """`name-light.png` and `name-dark.png` of the top of the page, or of what is shown now if it is `scrolled`; all of
        `shows` must be on them, to be read."""
        size = page.viewport_size
        assert size is not None
        width, height = size["width"], height or size["height"]
        if not scrolled:
            page.evaluate("scrollTo(0, 0)")
        expect(page.locator(".toast.shown")).to_have_count(0, timeout=PATIENCE_MS)
        for locator in shows:
            expect(locator.first).to_be_visible(timeout=PATIENCE_MS)
            box = locator.first.bounding_box()
            assert box is not None and box["y"] + box["height"] <= height, f"{locator} is not on {name}"
        for scheme, brightness in (("light", range(160, 256)), ("dark", range(90))):
            page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
            path = self.folder / f"{name}-{scheme}.png"
            page.screenshot(
                path=path, animations="disabled", caret="hide",
                clip={"x": 0, "y": 0, "width": width, "height": height},
            )  # fmt: skip
            self._taken.append((path, (height, width), brightness))
        page.emulate_media(color_scheme=None)

    def checked(self) -> set[str]:
        """Check each picture and return their names. It is slow, so call it after the live call."""
        for path, size, brightness in self._taken:
            _check(path, size, brightness)
        return {path.name for path, _, _ in self._taken}


def _check(path: Path, size: tuple[int, int], brightness: range) -> None:
    """The picture has its size, many colors, and the brightness of its scheme."""
    with av.open(str(path)) as picture:
        pixels = next(picture.decode(video=0)).to_ndarray(format="rgb24")
    assert pixels.shape[:2] == size
    colours = pixels.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    assert len(np.unique(colours)) > _FEWEST_COLOURS, f"{path.name} shows next to nothing"
    assert round(float(pixels.mean())) in brightness, f"{path.name} is not in its colours"
    assert path.stat().st_size <= MOST_BYTES, f"{path.name} has {path.stat().st_size} bytes"
