"""`callreel transcribe --again`: calls that have a transcript, heard once more by another engine or a better model."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from callreel.cli.begin import begin
from callreel.domain.errors import CallreelError, SettingsError
from callreel.domain.ids import CallId

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from callreel.postcall.retranscription import Progress, Run

_NICE = 10  # live calls come first


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Keep")(transcribe)


def transcribe(
    call: Annotated[str | None, typer.Argument(help="Id of one call.", show_default=False)] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Needed: calls are transcribed once by themselves.")
    ] = False,
    day: Annotated[
        str | None, typer.Option(metavar="YYYY-MM-DD", help="All calls that began on that day, in UTC.")
    ] = None,
    all_calls: Annotated[bool, typer.Option("--all", help="All calls.")] = False,
    engine: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[,OPTION=VALUE…]",
            help="Engine to hear with.",
            show_default="the one of the final transcript",
        ),
    ] = None,
    language: Annotated[
        str | None,
        typer.Option(
            metavar="CODE",
            help="Hear them in this language, as de.",
            show_default="each call's own, else the settings'",
        ),
    ] = None,
) -> None:
    """Hear a call, a day or everything again, as a new revision of the final transcript; earlier ones are kept.

    What people corrected stays what is shown. It runs at low priority, one call at a time, beside a server or without one.
    Cut off, it goes on where it was when the same command is given again, or in a running server. Exit code 1 when a
    call could not be done.

    Examples:

    - `callreel transcribe --again 145b7e35a0ae --engine faster-whisper,model=medium`

    - `callreel transcribe --again --day 2026-11-21`

    - `callreel transcribe --again --all --engine openai`

    - `callreel transcribe --again 145b7e35a0ae --engine faster-whisper,model=small --language de`
    """
    if not again:
        raise SettingsError(
            "calls are transcribed by themselves after they end; to do it once more say --again"
        )
    if sum((call is not None, day is not None, all_calls)) != 1:
        raise SettingsError("expected one of: a call's id, --day YYYY-MM-DD, --all")
    choose = _chooser(call, day)
    settings = begin(quiet=True)
    from callreel.app.worker import transcribe_again
    from callreel.asr.engines import registry
    from callreel.asr.engines.survey import Purpose
    from callreel.asr.languages import code_of
    from callreel.settings.engines import engine_by_spec, engine_for, spec_in, spec_of

    if engine is None:
        choice = engine_for(settings, Purpose.FINAL).choice
    else:
        choice = engine_by_spec(settings, engine)
    spec = engine if engine is not None and "," in engine else spec_of(choice)
    able = registry.prepare(choice)  # before anything is begun that could not be done
    if language is not None:
        spec = spec_in(spec, code_of(language), able)
    os.nice(_NICE)
    bar = _Bar()
    try:
        run, progress = transcribe_again(settings, spec, choose, bar.tell)
    except KeyboardInterrupt:
        left = bar.left
        raise CallreelError(
            f"stopped with {left} calls left; the same command goes on with them, and so does a running server"
        ) from None
    finally:
        bar.close()
    for call_id, why in progress.failed.items():
        typer.echo(f"failed\t{call_id}\t{why}")
    typer.echo(
        f"callreel: {progress.done} of {progress.whole} calls transcribed again by {spec} (run {run.name})"
    )
    raise typer.Exit(1 if progress.failed else 0)


def _chooser(call: str | None, day: str | None) -> Callable[[Connection], Sequence[CallId]]:
    from callreel.store.calls import calls, layers

    if call is not None:

        def one(conn: Connection) -> Sequence[CallId]:
            if calls.get(conn, CallId(call)) is None:
                raise CallreelError(f"there is no call {call} in this database")
            if CallId(call) not in layers.calls_with_audio(conn):
                raise CallreelError(f"call {call} has no finished audio that could be heard again")
            return [CallId(call)]

        return one
    if day is None:
        return layers.calls_with_audio
    try:
        begins = datetime.combine(date.fromisoformat(day), time(), UTC)
    except ValueError:
        raise SettingsError(f"expected --day as 2026-11-21, got {day!r}") from None
    return lambda conn: layers.calls_with_audio(conn, begins, begins + timedelta(days=1))


class _Bar:
    """Progress on a terminal; elsewhere nothing, since the last line says it all."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty())
        self._task = self._bar.add_task("calls", total=None)
        self._bar.start()
        self.left = 0

    def tell(self, run: Run, progress: Progress) -> None:
        self.left = progress.waiting
        over = progress.done + len(progress.failed)
        self._bar.update(self._task, description=f"run {run.name}", total=progress.whole, completed=over)

    def close(self) -> None:
        self._bar.stop()
