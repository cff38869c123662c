"""An animation of a page: pictures of it while something happens, as an animated WebP that repeats."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from playwright.sync_api import Page

_MS = Fraction(1, 1000)


@dataclass(frozen=True, slots=True)
class Picture:
    """A PNG, and how long it is shown."""

    png: bytes
    shown_ms: int


class Film:
    """Collects pictures. `longest_ms` bounds how long one is shown, so that waiting is short in the animation."""

    def __init__(self, longest_ms: int = 800) -> None:
        self._longest_ms = longest_ms
        self._pictures: list[Picture] = []

    @property
    def duration_ms(self) -> int:
        return sum(picture.shown_ms for picture in self._pictures)

    def take(self, page: Page, shown_ms: int) -> None:
        """A picture of what the page shows now; one that equals the last makes that one longer."""
        png = page.screenshot(animations="disabled", caret="hide")
        if self._pictures and self._pictures[-1].png == png:
            shown_ms = min(self._longest_ms, self._pictures.pop().shown_ms + shown_ms)
        self._pictures.append(Picture(png, shown_ms))

    def run(self, page: Page, for_ms: int, every_ms: int = 400) -> None:
        """Pictures of `for_ms` of the page's time."""
        for _ in range(for_ms // every_ms):
            page.wait_for_timeout(every_ms)
            self.take(page, every_ms)

    def hold(self, shown_ms: int) -> None:
        """Show the last picture for longer."""
        last = self._pictures.pop()
        self._pictures.append(Picture(last.png, last.shown_ms + shown_ms))

    def save(self, path: Path, quality: int = 60) -> None:
        write(path, self._pictures, quality)


def write(path: Path, pictures: list[Picture], quality: int) -> None:
    """`pictures`, all of one size, as an animated WebP."""
    with av.open(str(path), "w", format="webp", options={"loop": "0"}) as file:
        first = _frame(pictures[0].png)
        stream = file.add_stream(
            "libwebp_anim", rate=25, options={"quality": str(quality), "compression_level": "6"}
        )
        stream.width, stream.height, stream.pix_fmt, stream.time_base = (
            first.width,
            first.height,
            "bgra",
            _MS,
        )
        stream.codec_context.time_base = _MS
        at_ms = 0
        # The last picture is given twice: the time of the second one is how long the first is shown.
        for picture in [*pictures, pictures[-1]]:
            frame = _frame(picture.png)
            frame.pts, frame.time_base = at_ms, _MS
            file.mux(stream.encode(frame))
            at_ms += picture.shown_ms
        file.mux(stream.encode(None))


def _frame(png: bytes) -> av.VideoFrame:
    [frame] = av.VideoCodecContext.create("png", "r").decode(av.Packet(png))
    assert isinstance(frame, av.VideoFrame)
    return frame.reformat(format="bgra")
