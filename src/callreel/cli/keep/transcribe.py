"""`callreel transcribe --again`: transcribes calls again, with another engine or a better model."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from callreel.cli.command import configure, progress_bar, report
from callreel.domain.errors import CallreelError, SettingsError
from callreel.domain.ids import CallId

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from callreel.postcall.retranscription import Progress, Run
    from callreel.settings import Settings

_NICENESS = 10  # live calls have priority


def transcribe(
    call: Annotated[str | None, typer.Argument(help="ID of one call.", show_default=False)] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Required: the first transcription is automatic.")
    ] = False,
    day: Annotated[
        str | None, typer.Option(metavar="YYYY-MM-DD", help="All calls that began on this day, in UTC.")
    ] = None,
    all_calls: Annotated[bool, typer.Option("--all", help="All calls.")] = False,
    engine: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[,OPTION=VALUE…]",
            help="ASR engine.",
            show_default="the engine of the final transcript",
        ),
    ] = None,
    language: Annotated[
        str | None,
        typer.Option(
            metavar="CODE",
            help="Language for all selected calls, such as de.",
            show_default="each call's own, else the settings'",
        ),
    ] = None,
) -> None:
    """Transcribe one call, a day or all calls again, as a new revision of the final transcript; earlier ones are kept.

    Manual corrections remain in effect. The calls are transcribed one at a time at low priority, with or without a running
    server. An interrupted run continues when the same command is repeated, or in a running server. Exit code 1 if a call
    failed.

    Examples:

    - `callreel transcribe --again 145b7e35a0ae --engine faster-whisper,model=medium`

    - `callreel transcribe --again --day 2026-11-21`

    - `callreel transcribe --again --all --engine openai`

    - `callreel transcribe --again 145b7e35a0ae --engine faster-whisper,model=small --language de`
    """
    if not again:
        raise SettingsError("calls are transcribed automatically after they end; use --again to repeat it")
    if sum((call is not None, day is not None, all_calls)) != 1:
        raise SettingsError("expected one of: the ID of a call, --day YYYY-MM-DD, --all")
    select = _selection(call, day)
    settings = configure()
    spec = _engine_spec(settings, engine, language)
    os.nice(_NICENESS)
    raise typer.Exit(_run(settings, spec, select))


def _engine_spec(settings: Settings, engine: str | None, language: str | None) -> str:
    """The spec of an engine that is usable here. Raises EngineError, LanguageError or SettingsError before any work."""
    from callreel.asr.engines import registry
    from callreel.asr.engines.survey import Purpose
    from callreel.asr.languages import code_of
    from callreel.settings.engines import engine_by_spec, engine_for, spec_in, spec_of

    if engine is None:
        choice = engine_for(settings, Purpose.FINAL).choice
    else:
        choice = engine_by_spec(settings, engine)
    spec = engine if engine is not None and "," in engine else spec_of(choice)
    capabilities = registry.prepare(choice)
    return spec if language is None else spec_in(spec, code_of(language), capabilities)


def _run(settings: Settings, spec: str, select: Callable[[Connection], Sequence[CallId]]) -> int:
    """Transcribe the selected calls; returns the exit code."""
    from callreel.app.worker import transcribe_again

    left = 0
    with progress_bar("calls", None) as update:

        def show(run: Run, progress: Progress) -> None:
            nonlocal left
            left, finished = progress.waiting, progress.done + len(progress.failed)
            update(description=f"run {run.name}", total=progress.whole, completed=finished)

        try:
            run, progress = transcribe_again(settings, spec, select, show)
        except KeyboardInterrupt:
            raise CallreelError(
                f"stopped with {left} calls left; repeat the command to continue, or a running server continues"
            ) from None
    for call_id, reason in progress.failed.items():
        typer.echo(f"failed\t{call_id}\t{reason}")
    report(f"transcribed {progress.done} of {progress.whole} calls again with {spec} (run {run.name})")
    return 1 if progress.failed else 0


def _selection(call: str | None, day: str | None) -> Callable[[Connection], Sequence[CallId]]:
    from callreel.store.calls import calls, layers

    if call is not None:

        def one(conn: Connection) -> Sequence[CallId]:
            if calls.get(conn, CallId(call)) is None:
                raise CallreelError(f"there is no call {call} in this database")
            if CallId(call) not in layers.calls_with_audio(conn):
                raise CallreelError(f"call {call} has no finished audio to transcribe")
            return [CallId(call)]

        return one
    if day is None:
        return layers.calls_with_audio
    try:
        begins = datetime.combine(date.fromisoformat(day), time(), UTC)
    except ValueError:
        raise SettingsError(f"expected --day as 2026-11-21, got {day!r}") from None
    return lambda conn: layers.calls_with_audio(conn, begins, begins + timedelta(days=1))
