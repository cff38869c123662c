"""An evaluation's figures as a table for a terminal: one row for each engine and kind of recording."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from callreel.evaluation.evaluate import Evaluated

Kinds = dict[str, "list[Evaluated]"]
Figure = float | int | None


def show(runs: Sequence[tuple[str, Kinds]], console: Console | None = None) -> None:
    """All runs, each with a last row for everything together."""
    from callreel.evaluation.evaluate import figures

    table = Table(*(heading for heading, _, _ in _COLUMNS), caption=_CAPTION, caption_justify="left")
    for column in table.columns[2:]:
        column.justify = "right"
    for name, kinds in runs:
        rows = {**kinds, "all": [result for some in kinds.values() for result in some]}
        for kind, results in rows.items():
            found = figures(results)
            cells = [form(found.get(key)) for _, key, form in _COLUMNS[2:]]
            table.add_row(
                name, kind, *cells, end_section=kind == "all", style="bold" if kind == "all" else ""
            )
    shown = console or Console(width=None if Console().is_terminal else 160)
    shown.print(table)


def _percent(value: Figure) -> str:
    return "" if value is None else f"{100 * value:.1f}"


def _seconds(value: Figure) -> str:
    return "" if value is None else f"{value / 1000:.2f}"


def _plain(value: Figure) -> str:
    return "" if value is None else f"{value:g}"


_COLUMNS: tuple[tuple[str, str, Callable[[Figure], str]], ...] = (
    ("engine", "", _plain),
    ("kind", "", _plain),
    ("words", "words", _plain),
    ("WER\noffline %", "wer_offline", _percent),
    ("WER\nlive %", "wer_live", _percent),
    ("partial s\nP50", "partial_latency_p50_ms", _seconds),
    ("\nP95", "partial_latency_p95_ms", _seconds),
    ("final s\nP50", "final_latency_p50_ms", _seconds),
    ("\nP95", "final_latency_p95_ms", _seconds),
    ("turn end\ns P90", "turn_end_decision_p90_ms", _seconds),
    ("retracted\n%", "retracted", _percent),
    ("lost /\ncut %", "words_lost", _percent),
    ("\n", "words_cut", _percent),
    ("wrong party\n% cp-ORC", "cp_wer_minus_orc_wer", _percent),
    ("\nin time", "tcp_wer_minus_tcorc_wer", _percent),
    ("core-s/s\nlive", "core_s_per_s_live", _plain),
    ("\noffline", "core_s_per_s_offline", _plain),
    ("finals\nlost", "finals_lost", _plain),
)

_CAPTION = (
    "partial: from a word's end to its first display; final: from the segment's last word to its final text;"
    " lost, cut: words by segmentation; wrong party: cpWER - ORC-WER, then with time-constrained words,"
    " which excludes chance matches of wrong words. Live is simulated (docs/words.md)."
)
