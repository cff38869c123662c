"""`callreel import`: takes in recordings that were made before Callreel, from files and from the carrier's account."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from callreel.cli.command import COMMAND_LINE, DryRun, offline, progress_bar, report
from callreel.domain.call import Direction
from callreel.domain.errors import SettingsError

if TYPE_CHECKING:
    from datetime import tzinfo

    from callreel.imports.folder import FolderImport
    from callreel.imports.metadata import Metadata
    from callreel.imports.outcome import Outcome
    from callreel.settings import Settings

app = typer.Typer(
    name="import",
    help="Import recordings that were made before Callreel: from the carrier's account, or from a folder of files.",
    no_args_is_help=True,
)

LONG_WAIT_S = 5.0
WATCH_EVERY_S = 2.0
By = Annotated[str, typer.Option("--by", help="Who imports; recorded in the audit trail.")]
Language = Annotated[str, typer.Option(help="Language of the calls, as en or de. Default: the engine's.")]


@app.command()
def folder(  # noqa: PLR0913  # the options of the command
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
    watch: Annotated[
        bool, typer.Option("--watch", help="Keep running, and import files that are added; Ctrl-C ends it.")
    ] = False,
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
    if watch and dry_run:
        raise SettingsError("--watch and --dry-run exclude each other")
    language = _language(language)
    with offline() as (settings, installation):
        from callreel.app import imports
        from callreel.imports.metadata import Defaults

        defaults = Defaults(_zone(zone), _region(settings), agent, direction)
        calls = imports.imported_calls(settings, installation, by, language)
        work = imports.folder_import(settings, installation, path, calls, defaults)
        if watch:
            _watch(settings, work, metadata)
        with imports.alone(settings):
            rows = _folder_rows(work, metadata)
            counts = _shown(lambda _: work.run(rows, dry_run=dry_run), len(rows), dry_run)
    _finish(counts, dry_run)


@app.command()
def account(
    since: Annotated[str, typer.Option(help="First day (UTC) of the recordings, as 2026-01-31.")],
    until: Annotated[str, typer.Option(help="Last day (UTC). Default: today.")] = "",
    language: Language = "",
    delete_there: Annotated[
        bool,
        typer.Option(
            "--delete-there", help="Delete each recording at the carrier once our copy was read again."
        ),
    ] = False,
    dry_run: DryRun = False,
    by: By = COMMAND_LINE,
) -> None:
    """Import the recordings of the carrier's account, with both channels and their calls. Repeat the command to continue.

    Recordings that are here already are not downloaded again. Exit code 1 if some failed.

    Examples:

    - `callreel import account --since 2025-01-01 --dry-run`

    - `callreel import account --since 2025-01-01 --until 2025-12-31 --delete-there`
    """
    first, last = _day("--since", since), _day("--until", until) if until else datetime.now(UTC).date()
    if first > last:
        raise SettingsError(f"expected --since on or before {last}, got {first}")
    language = _language(language)
    with offline() as (settings, installation):
        from callreel.app import imports

        with imports.alone(settings):
            work = imports.account_import(
                settings, installation, imports.imported_calls(settings, installation, by, language), _wait,
                delete_by=by if delete_there else None, dry_run=dry_run,
            )  # fmt: skip
            counts = _shown(lambda listed: work.run(first, last, listed), None, dry_run)
    _finish(counts, dry_run)


def _watch(settings: Settings, work: FolderImport, metadata: Path | None) -> NoReturn:
    """Import what is added to the folder, until Ctrl-C. While another import runs, files wait."""
    from callreel.app import imports
    from callreel.imports.watch import FolderWatch
    from callreel.runtime.clock import Clock

    folder = FolderWatch(work, metadata, Clock())
    report(f"watching for sound files every {WATCH_EVERY_S:.0f} s; Ctrl-C ends it")
    while True:
        with suppress(imports.AnotherImportError), imports.alone(settings):
            for outcome in folder.look():
                _print(outcome)
        time.sleep(WATCH_EVERY_S)


def _folder_rows(work: FolderImport, metadata: Path | None) -> list[Metadata | Outcome]:
    """What is to be imported: all sound files of the folder, or those of the metadata."""
    names = work.names()
    if metadata is None:
        return [work.without_metadata(name) for name in names]
    known = work.rows(metadata)
    named = {getattr(row, "file", "") for row in known}
    if left_out := sum(name not in named for name in names):
        report(f"{left_out} sound files are not in {metadata.name} and are left out", err=True)
    return known


def _shown(
    outcomes: Callable[[Callable[[date, int], None]], Iterable[Outcome]], total: int | None, dry_run: bool
) -> Counter[str]:
    """Print one line for each recording, with a progress bar on a terminal; returns how many had each result.

    `outcomes` is given a function for the number of recordings of each day, where the total is not known before.
    """
    counts: Counter[str] = Counter()
    with progress_bar("recordings", total) as update:
        known = total or 0

        def listed(day: date, number: int) -> None:
            nonlocal known
            known += number
            update(total=known, description=f"recordings until {day}")

        for outcome in outcomes(listed):
            counts[outcome.result] += 1
            update(advance=1)
            _print(outcome, "would be " if dry_run and outcome.result == "imported" else "")
    return counts


def _print(outcome: Outcome, would: str = "") -> None:
    cells = (f"{would}{outcome.result}", outcome.name, outcome.call_id or "", outcome.detail)
    line = "\t".join(" ".join(cell.split()) for cell in cells).rstrip()
    # File names are bytes; some are not text in the encoding of the terminal.
    encoding = sys.stdout.encoding or "utf-8"
    print(line.encode(encoding, "backslashreplace").decode(encoding), flush=True)


def _wait(seconds: float, reason: str) -> None:
    """Wait before a request is repeated; a long wait is announced."""
    if seconds >= LONG_WAIT_S:
        report(f"waiting {seconds:.0f} s, because {reason}", err=True)
    time.sleep(seconds)


def _day(option: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise SettingsError(f"expected {option} as 2026-01-31, got {text[:40]!r}") from None


def _finish(counts: Counter[str], dry_run: bool) -> None:
    """Print the result line, and exit with 1 if a recording failed."""
    failed, imported = counts["failed"], counts["imported"]
    others = "".join(
        f", {number} {name}" for name, number in counts.items() if name not in ("failed", "imported")
    )
    would = "would be " if dry_run else ""
    report(f"{imported} recordings {would}imported{others}, {failed or 'none'} failed")
    if imported and not dry_run:
        report("a running server transcribes them; without one, the next `callreel serve` does")
    raise typer.Exit(1 if failed else 0)


def _language(language: str) -> str:
    """The code of a language; empty for the engine's default. Raises LanguageError."""
    from callreel.asr.languages import code_of

    return code_of(language) if language else ""


def _zone(name: str) -> tzinfo:
    from callreel.runtime.time_zones import time_zone

    try:
        return time_zone(name)
    except ValueError:
        raise SettingsError(
            f"expected --zone as a time zone such as Europe/Berlin, got {name[:40]!r}"
        ) from None


def _region(settings: Settings) -> str | None:
    """The country of numbers without a country code: that of the installation's own number, if it has one."""
    from callreel.settings.privacy import regions_of

    return regions_of(settings.caller_id)[0] if settings.caller_id else None
