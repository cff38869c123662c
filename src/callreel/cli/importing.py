"""`callreel import`: takes in recordings that were made before Callreel, from files and from the carrier's account."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from callreel.cli.command import COMMAND_LINE, DryRun, offline, progress_bar, report
from callreel.domain.call import Direction
from callreel.domain.errors import SettingsError

if TYPE_CHECKING:
    from datetime import tzinfo

    from callreel.imports.folder import FolderImport, Outcome
    from callreel.settings import Settings

app = typer.Typer(
    name="import",
    help="Import recordings that were made before Callreel: from a folder of sound files.",
    no_args_is_help=True,
)

By = Annotated[str, typer.Option("--by", help="Who imports; recorded in the audit trail.")]
Language = Annotated[str, typer.Option(help="Language of the calls, as en or de. Default: the engine's.")]


@app.command()
def folder(
    path: Annotated[Path, typer.Argument(help="The folder with WAV, MP3, FLAC and OGG files.")],
    metadata: Annotated[
        Path | None,
        typer.Option(
            help="A .csv or .json file: file, started_at, agent, number, direction, agent_channel, party."
        ),
    ] = None,
    agent: Annotated[str, typer.Option(help="Agent of the calls whose agent is not given.")] = "unknown",
    direction: Annotated[
        Direction, typer.Option(help="Direction of the calls whose direction is not given.")
    ] = Direction.OUTGOING,
    zone: Annotated[
        str, typer.Option(help="Time zone of times without an offset, as Europe/Berlin.")
    ] = "UTC",
    language: Language = "",
    dry_run: DryRun = False,
    by: By = COMMAND_LINE,
) -> None:
    """Import the sound files of a folder, or those that a metadata file names. Repeat the command to continue.

    A running server, or the next one, transcribes and measures the calls; their verdict is `imported`. Exit code 1 if some
    failed.

    Examples:

    - `callreel import folder archive/ --metadata archive/calls.csv --dry-run`

    - `callreel import folder archive/ --agent maria --direction incoming`
    """
    if not path.is_dir():
        raise SettingsError(f"expected a folder of sound files, got {path}")
    language = _language(language)
    with offline() as (settings, installation):
        from callreel.app import imports
        from callreel.imports.metadata import Defaults

        defaults = Defaults(_zone(zone), _region(settings), agent, direction)
        with imports.alone(settings):
            calls = imports.imported_calls(settings, installation, by, language)
            work = imports.folder_import(settings, installation, path, calls, defaults)
            counts = _shown(*_folder_outcomes(work, metadata, dry_run), dry_run)
    _finish(counts, dry_run)


def _folder_outcomes(
    work: FolderImport, metadata: Path | None, dry_run: bool
) -> tuple[Iterable[Outcome], int]:
    """The outcomes as they come, and their number."""
    names = work.names()
    if metadata is None:
        rows = [work.without_metadata(name) for name in names]
        return work.run(list(rows), dry_run=dry_run), len(rows)
    known = work.rows(metadata)
    named = {getattr(row, "file", "") for row in known}
    if left_out := sum(name not in named for name in names):
        report(f"{left_out} sound files are not in {metadata.name} and are left out", err=True)
    return work.run(known, dry_run=dry_run), len(known)


def _shown(outcomes: Iterable[Outcome], total: int | None, dry_run: bool) -> Counter[str]:
    """Print one line for each recording, with a progress bar on a terminal; returns how many had each result."""
    counts: Counter[str] = Counter()
    with progress_bar("recordings", total) as update:
        for outcome in outcomes:
            counts[outcome.result] += 1
            update(advance=1)
            would = "would be " if dry_run and outcome.result == "imported" else ""
            cells = (f"{would}{outcome.result}", outcome.name, outcome.call_id or "", outcome.detail)
            typer.echo("\t".join(" ".join(cell.split()) for cell in cells).rstrip())
    return counts


def _finish(counts: Counter[str], dry_run: bool) -> None:
    """Print the result line, and exit with 1 if a recording failed."""
    failed, imported = counts["failed"], counts["imported"]
    others = "".join(
        f", {number} {name}" for name, number in counts.items() if name not in ("failed", "imported")
    )
    would = "would be " if dry_run else ""
    report(f"{imported} recordings {would}imported{others}, {failed or 'none'} failed")
    if imported and not dry_run:
        report(
            "a running server transcribes them; without one, the next `callreel serve` or `callreel work` does"
        )
    raise typer.Exit(1 if failed else 0)


def _language(language: str) -> str:
    """The code of a language; empty for the engine's default. Raises LanguageError."""
    from callreel.asr.languages import code_of

    return code_of(language) if language else ""


def _zone(name: str) -> tzinfo:
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        raise SettingsError(
            f"expected --zone as a time zone such as Europe/Berlin, got {name[:40]!r}"
        ) from None


def _region(settings: Settings) -> str | None:
    """The country of numbers without a country code: that of the installation's own number, if it has one."""
    from callreel.settings.privacy import regions_of

    return regions_of(settings.caller_id)[0] if settings.caller_id else None
