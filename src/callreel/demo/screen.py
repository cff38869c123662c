"""Displays a live call in the terminal: steps, recording indicators, live text. Without a terminal it prints lines.

It only renders `Progress`; it does no network access.
"""

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from callreel.demo.progress import Line, Progress

COLOURS = {"agent": "cyan", "technician": "yellow"}
_LINES_SHOWN = 12
_INDICATORS = {
    "recording": ("●", "red"),
    "closed": ("●", "green"),
    "repaired": ("●", "magenta"),
    "": ("○", "dim"),
}
_LAYERS = (("live_8k", "8 kHz"), ("live_16k", "16 kHz"))
_DONE = ("done", "stored", "closed", "verified", "explained", "suspect")


class Screen:
    """Displays one call on `console`; a context manager. `step` displays what is not an event of the call."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._steps: list[str] = []
        self._now = ""
        self._progress = Progress()
        self._lines_printed = 0
        self._printed: set[str] = set()

    def __enter__(self) -> "Screen":
        if self._console.is_terminal:
            self._live = Live(
                console=self._console, refresh_per_second=8, transient=True, get_renderable=self._render
            )
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop updating the terminal. May be called again."""
        if self._live is not None:
            self._live.stop()

    def step(self, text: str) -> None:
        """Display the current step; the previous one counts as done."""
        if self._now:
            self._steps.append(self._now)
        self._now = text
        if self._live is None:
            self._console.print(text, highlight=False, markup=False)

    def show(self, progress: Progress) -> None:
        """Display the current state of the call."""
        self._progress = progress
        if self._live is None:
            self._scroll(progress)

    def _scroll(self, progress: Progress) -> None:
        """Without a terminal: print each change as a line; interim results are not printed."""
        for line in progress.lines[self._lines_printed :]:
            self._console.print(_spoken(line), soft_wrap=True)
        self._lines_printed = len(progress.lines)
        for part in state_parts(progress):
            if part not in self._printed:
                self._printed.add(part)
                self._console.print(f"  {part}", highlight=False, markup=False, soft_wrap=True)

    def _render(self) -> RenderableType:
        parts: list[RenderableType] = [Text(f"✓ {step}", style="green") for step in self._steps]
        if self._now:
            parts.append(Spinner("dots", Text(self._now, style="bold")))
        if self._progress.call_state:
            parts += [Text(), self._indicators(), Text(), *self._transcript()]
        return Group(*parts)

    def _indicators(self) -> RenderableType:
        table = Table.grid(padding=(0, 3))
        cells = [
            _indicator(role, name, self._progress.layers.get((layer, role), ""))
            for role in COLOURS
            for layer, name in _LAYERS
        ]
        cells.append(_cloud_indicator(self._progress.recording))
        table.add_row(*cells)
        return Group(table, Text(" · ".join(state_parts(self._progress)), style="dim"))

    def _transcript(self) -> list[RenderableType]:
        shown = sorted(self._progress.lines, key=lambda line: line.start_ms)[-_LINES_SHOWN:]
        spoken: list[RenderableType] = [_spoken(line) for line in shown]
        open_text = [
            Text(f"       {role:<10} {text} …", style=f"dim {COLOURS.get(role, '')}")
            for role, text in self._progress.partials.items()
            if text
        ]
        return [*spoken, *open_text]


def state_parts(progress: Progress) -> list[str]:
    """The state of the call, its legs, its recording and its stages, in a few words each."""
    parts = [progress.call_state and f"call {progress.call_state}"]
    parts += [f"{role} {status}" for role, status in progress.legs.items()]
    parts.append(progress.recording and f"recording {progress.recording.replace('_', '-')}")
    parts += [f"{stage} {state}" for stage, state in progress.stages.items()]
    parts.append(progress.verdict and f"verdict {progress.verdict}")
    return [part for part in parts if part]


def clock(position_ms: int) -> str:
    """A position in the call as `01:05`."""
    minutes, seconds = divmod(position_ms // 1000, 60)
    return f"{minutes:02}:{seconds:02}"


def _spoken(line: Line) -> Text:
    text = Text(f"{clock(line.start_ms)}  ", style="dim")
    text.append(f"{line.role:<10} ", style=f"bold {COLOURS.get(line.role, '')}")
    return text.append(line.text, style=COLOURS.get(line.role, ""))


def _indicator(role: str, name: str, state: str) -> Text:
    lamp, colour = _INDICATORS.get(state, ("●", "white"))
    return Text.assemble((lamp, colour), f" {role} {name}")


def _cloud_indicator(state: str) -> Text:
    colour = "green" if state in _DONE else "red" if state in ("in_progress", "completed") else "dim"
    return Text.assemble(("●" if state else "○", colour), " cloud recording")
