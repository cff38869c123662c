"""`callreel evaluate`: scores engines on recordings with reference transcripts."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from callreel.cli.command import configure
from callreel.domain.errors import EngineError

if TYPE_CHECKING:
    from callreel.evaluation.decoding import Decoding
    from callreel.evaluation.evaluate import Evaluated, EvaluationOptions
    from callreel.evaluation.material import Recorded
    from callreel.settings import Settings

ORACLE = "oracle"


def evaluate(
    manifest: Annotated[
        Path, typer.Argument(help="Table of recordings with their words, or a folder that has one.")
    ],
    engine: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[,OPTION=VALUE…]",
            help="Engine to evaluate; repeatable. `oracle` returns the reference itself.",
            show_default="the one in the settings",
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Number of recordings to use, of each kind in turn.")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, help="Engine processes that share the live work.", show_default="those of the settings"
        ),
    ] = None,
    offline: Annotated[
        bool,
        typer.Option(
            "--offline", help="Skip the simulated live transcription, which decodes everything several times."
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document per line, one for each engine.")
    ] = False,
    report: Annotated[
        Path | None, typer.Option(help="Write an HTML page with each recording's differences marked.")
    ] = None,
) -> None:
    """Transcribe recordings that have reference transcripts, offline and as if live, and score the results.

    docs/words.md explains the manifest, the simulation and the figures. Requires the extra `evaluate`. Examples:

    - `callreel evaluate calls/manifest.tsv --report words.html`

    - `callreel evaluate recordings/ --engine faster-whisper --engine faster-whisper,model=small --offline`

    - `callreel evaluate recordings/ --engine oracle --limit 3 --json`
    """
    settings = configure()
    _require_extra()
    from callreel.cli.diagnose import figures
    from callreel.evaluation import evaluate as evaluation
    from callreel.evaluation.material import read_material

    material = read_material(manifest, limit)
    options = _options(settings, workers, live=not offline)
    runs = [
        (name, _evaluate_engine(settings, name, material, options, as_json=as_json))
        for name in engine or [settings.engine]
    ]
    if not as_json:
        figures.show([(name, evaluation.by_kind(results)) for name, results in runs])
    if report is not None:
        _write_page(runs, report)


def document(name: str, model: str, results: list[Evaluated]) -> dict[str, Any]:
    """The output of `--json` for one engine: the figures of all recordings, then of each kind."""
    from callreel.evaluation.evaluate import by_kind, figures

    kinds = {kind: figures(some) for kind, some in by_kind(results).items()}
    return {"engine": name, "model": model, **figures(results), "kinds": kinds}


def _evaluate_engine(
    settings: Settings, name: str, material: list[Recorded], options: EvaluationOptions, *, as_json: bool
) -> list[Evaluated]:
    model, results = asyncio.run(_decode_all(settings, name, material, options))
    if as_json:
        typer.echo(json.dumps(document(name, model, results)))
    return results


async def _decode_all(
    settings: Settings, wanted: str, material: list[Recorded], options: EvaluationOptions
) -> tuple[str, list[Evaluated]]:
    from callreel.asr.engines import registry
    from callreel.asr.workers.host import EngineHost
    from callreel.evaluation.decoding import EngineDecoding, Oracle
    from callreel.settings.engines import engine_by_spec

    if wanted == ORACLE:
        timed = [recorded for recorded in material if recorded.timed]
        if not timed:
            raise EngineError("the oracle needs recordings whose words have times; these have none")
        return "reference", await _all(wanted, timed, Oracle(), options)
    # One process: decodes are measured one at a time, and the workers' time is simulated.
    choice = engine_by_spec(settings, wanted)
    await asyncio.to_thread(registry.prepare, choice)
    host = EngineHost(choice, 1)
    try:
        await host.start()
        model = host.capabilities.model
        return model, await _all(wanted, material, EngineDecoding(host), options)
    finally:
        await host.close()


async def _all(
    name: str,
    material: list[Recorded],
    decoding: Decoding,
    options: EvaluationOptions,
) -> list[Evaluated]:
    from rich.console import Console
    from rich.progress import track

    from callreel.asr.silero import SileroDetector
    from callreel.evaluation.evaluate import evaluate as evaluate_recording

    console = Console(stderr=True)
    tracked = track(material, description=name, console=console, disable=not sys.stderr.isatty())
    return [await evaluate_recording(recorded, decoding, SileroDetector, options) for recorded in tracked]


def _options(settings: Settings, workers: int | None, *, live: bool) -> EvaluationOptions:
    from callreel.evaluation.evaluate import EvaluationOptions
    from callreel.settings.engines import live_segmenter

    return EvaluationOptions(
        workers=workers or settings.engine_workers, live=live, live_segmenter=live_segmenter(settings)
    )


def _write_page(runs: list[tuple[str, list[Evaluated]]], path: Path) -> None:
    from callreel.cli.diagnose import differences

    path.write_text(differences.page(runs), encoding="utf-8")
    typer.echo(f"callreel: differences are in {path}", err=True)


def _require_extra() -> None:
    from importlib.util import find_spec

    missing = [name for name in ("jiwer", "meeteval") if find_spec(name) is None]
    if missing:
        raise EngineError(f"scores need {' and '.join(missing)}: pip install 'callreel[evaluate]'")
