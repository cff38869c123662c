"""`callreel models`: lists, fetches and checks the models of the engines."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from callreel.cli.command import configure, print_table
from callreel.domain.errors import EngineError

if TYPE_CHECKING:
    from callreel.asr.engines.registry import EngineChoice
    from callreel.settings import Settings

_HELP = """List, fetch and check the models of the engines.

Name a model as in `callreel models list`, by its repository at the model hub (`owner/name`), or by its folder. Fetched
models are in the cache of the hub's client (HF_HOME), shared with other programs. A server fetches its configured model
when it first starts.
"""

Engine = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Engine of the model.", show_default="the one that lists the name"),
]


app = typer.Typer(name="models", help=_HELP, no_args_is_help=True)


@app.command("list")
def list_models() -> None:
    """List the models by name, with their engine, their size and whether they are on this machine.

    Example: `callreel models list`
    """
    settings = configure()
    from callreel.asr.engines import registry

    rows = [
        (name, engine, str(megabytes), _here(settings, engine, name))
        for engine, models in registry.models().items()
        for name, megabytes in models.items()
    ]
    print_table(("model", "engine", "MB", "here"), rows, numbers=[2])


@app.command()
def fetch(
    model: Annotated[str, typer.Argument(help="Name from `callreel models list`, or owner/name.")],
    engine: Engine = None,
) -> None:
    """Fetch a model now, with progress. An interrupted download continues.

    Examples:

    - `callreel models fetch small`

    - `callreel models fetch someone/faster-whisper-small-de --engine faster-whisper`
    """
    settings = configure()
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    from callreel.asr.engines import registry

    choice = _choice(settings, engine or _engine_of(settings, model), model)
    columns = (TextColumn(model), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(model, total=None)
        folder = registry.fetch(choice, lambda done, whole: bar.update(task, completed=done, total=whole))
    if folder is None:
        raise EngineError(f"engine {choice.name} has no models to fetch")
    registry.check(choice)
    typer.echo(f"{model}\t{folder}")


@app.command()
def check(
    model: Annotated[str, typer.Argument(help="Name, owner/name, or folder of the model.")],
    engine: Engine = None,
) -> None:
    """Load a model as a server would and decode a second of noise. Exit code 2 if that fails, with the reason.

    Example: `callreel models check ./my-converted-model`
    """
    import asyncio

    settings = configure()
    from callreel.asr.workers.model_check import check_model

    worked = asyncio.run(check_model(_choice(settings, engine or _engine_of(settings, model), model)))
    capabilities = worked.capabilities
    typer.echo(
        f"{capabilities.name} {capabilities.model}: loaded in {worked.load_s:.1f} s, a second of audio took {worked.decode_s:.2f} s"
    )


def _here(settings: Settings, engine: str, model: str) -> str:
    """Whether a model is on this machine, or what is wrong with it."""
    from callreel.asr.engines import registry

    try:
        registry.check(_choice(settings, engine, model))
    except registry.NotFetchedError:
        return "no"
    except EngineError as error:
        return str(error).partition(": ")[2] or str(error)
    return "yes"


def _choice(settings: Settings, engine: str, model: str) -> EngineChoice:
    from callreel.asr.engines.registry import EngineChoice
    from callreel.settings.engines import engine_choice

    choice = engine_choice(settings, engine)
    return EngineChoice(engine, {**choice.options, "model": model})


def _engine_of(settings: Settings, model: str) -> str:
    """The engine that lists the name; for a folder, the one that finds its files there."""
    from callreel.asr.engines import registry

    for engine, models in registry.models().items():
        if model in models:
            return engine
    found = [engine for engine in registry.models() if _here(settings, engine, model) == "yes"]
    return found[0] if found else "faster-whisper"
