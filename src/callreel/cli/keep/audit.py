"""`callreel audit`: check and export the audit trail."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated

import typer

from callreel.cli.command import offline, report
from callreel.domain.audit import AuditEntry, Link
from callreel.domain.errors import SettingsError

app = typer.Typer(name="audit", help="Verify and export the audit trail.", no_args_is_help=True)


@app.command()
def verify(
    expect: Annotated[
        str | None,
        typer.Option("--expect", help="NUMBER:DIGEST of an entry as it was reported or logged earlier."),
    ] = None,
) -> None:
    """Check that no entry of the audit trail was changed, removed or inserted. Exit code 1 names the first broken entry.

    That the newest entries were removed shows only against a place that was noted elsewhere: the server logs one each day.

    Examples:

    - `callreel audit verify`

    - `callreel audit verify --expect 512:0f3a…`
    """
    expected = None if expect is None else _link(expect)
    with offline() as (_, installation):
        from callreel.store.audit import trail

        with installation.database.read() as conn:
            start, found = trail.start(conn), trail.verify(conn, expected)
    if found.broken is not None:
        report(f"the audit trail is broken at entry {found.broken}: {found.why}", err=True)
        raise typer.Exit(1)
    if expected is not None and expected.number < start.number:
        report(f"entry {expected.number} was removed by the retention of the trail; it cannot be compared")
    report(f"the audit trail is intact, entries {start.number + 1} to {found.last}")


@app.command()
def export(
    format: Annotated[str, typer.Option("--format", help="json or csv.")] = "json",
    since: Annotated[str, typer.Option("--from", help="First day or time, as 2026-11-22.")] = "",
    until: Annotated[str, typer.Option("--to", help="Last day, or the time before which entries end.")] = "",
    actor: Annotated[str, typer.Option("--actor", help="Only this person's entries.")] = "",
    call: Annotated[str, typer.Option("--call", help="Only entries of this call.")] = "",
) -> None:
    """Print the audit trail, or a part of it, on standard output, oldest entry first.

    Examples:

    - `callreel audit export --format csv --from 2026-11-01 > november.csv`
    """
    from callreel.formats.audit_trail import trail_csv, trail_json
    from callreel.store.audit import trail
    from callreel.web.api.time_parameters import end_of, start_of

    formats: dict[str, Callable[[Iterable[AuditEntry]], Iterator[str]]] = {
        "json": trail_json,
        "csv": trail_csv,
    }
    if format not in formats:
        raise SettingsError(f"--format should be json or csv, not {format!r}")
    wanted = trail.TrailFilter(start_of(since), end_of(until), actor, call_id=call)
    with offline() as (_, installation), installation.database.read() as conn:
        sys.stdout.writelines(formats[format](trail.entries(conn, wanted)))


def _link(text: str) -> Link:
    number, _, digest = text.partition(":")
    if not (number.isascii() and number.isdecimal() and len(digest) == 64):
        raise SettingsError("--expect should be NUMBER:DIGEST with a digest of 64 hex digits")
    return Link(int(number), digest.lower())
