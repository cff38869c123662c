"""An evaluation as one HTML page: reference and transcript of each recording, with the differences marked.

The page contains transcripts, so only people who may read them should get it. It loads nothing from the network.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from callreel.evaluation.evaluate import Evaluated

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem; }
table { border-collapse: collapse; } td, th { padding: .15rem .8rem; text-align: right; }
td:first-child, th:first-child { text-align: left; }
del { background: #ffd9d6; color: #7a1712; } ins { background: #d8f0d8; color: #0d4d14; text-decoration: none; }
.who { color: #555; margin: .6rem 0 0; } p { margin: 0 0 .4rem; }
@media (prefers-color-scheme: dark) { body { background: #161616; color: #eee; } .who { color: #aaa; }
del { background: #5a1d1a; color: #ffd9d6; } ins { background: #1d4a22; color: #d8f0d8; } }
"""


def page(runs: Sequence[tuple[str, Sequence[Evaluated]]]) -> str:
    """For each engine, every recording's transcript against its reference, the worst first."""
    parts = [
        "<!doctype html>\n<html lang=en><meta charset=utf-8><title>Callreel: words</title>",
        f"<style>{_STYLE}</style><h1>Transcripts against their references</h1>",
        "<p>Words <del>missing from the transcript</del>, <ins>added by the engine</ins>; live text (offline if live was"
        " left out), compared in lower case without punctuation.</p>",
    ]
    for name, results in runs:
        parts.append(f"<h2>{escape(name)}</h2>")
        parts.append(_overview(results))
        parts += [_recording(result) for result in sorted(results, key=_worst_first)]
    return "\n".join(parts) + "\n</html>\n"


def _worst_first(result: Evaluated) -> float:
    return -(result.errors.rate or 0)


def _overview(results: Iterable[Evaluated]) -> str:
    from callreel.evaluation.evaluate import by_kind

    rows = "".join(
        f"<tr><td>{escape(kind)}<td>{len(some)}<td>{sum(each.live.words for each in some)}"
        f"<td>{_rate(sum(each.offline.errors for each in some), sum(each.offline.words for each in some))}"
        f"<td>{_rate(sum(each.live.errors for each in some), sum(each.live.words for each in some))}"
        for kind, some in by_kind(results).items()
    )
    return f"<table><tr><th>kind<th>recordings<th>words<th>WER offline<th>WER live{rows}</table>"


def _recording(result: Evaluated) -> str:
    from callreel.evaluation.evaluate import reference

    rates = f"{_rate(result.live.errors, result.live.words)} live, {_rate(result.offline.errors, result.offline.words)} offline"
    parts = [f"<h3>{escape(result.recorded.name)}: {rates}</h3>"]
    for role, text in result.text.items():
        parts.append(
            f"<p class=who>{escape(role)}</p><p>{_marked(reference(result.recorded, role), text)}</p>"
        )
    return "".join(parts)


def _marked(expected: str, text: str) -> str:
    from callreel.evaluation.scores import differences

    parts = []
    for piece in differences(expected, text):
        if piece.same:
            parts.append(escape(" ".join(piece.reference)))
        else:
            if piece.reference:
                parts.append(f"<del>{escape(' '.join(piece.reference))}</del>")
            if piece.recognized:
                parts.append(f"<ins>{escape(' '.join(piece.recognized))}</ins>")
    return " ".join(parts)


def _rate(errors: int, words: int) -> str:
    return f"{100 * errors / words:.1f} %" if words else "no words"
