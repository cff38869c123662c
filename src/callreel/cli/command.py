"""What all commands share: settings and log, output, an installation without a server, options as a dataclass."""

from __future__ import annotations

import functools
import inspect
import json
import socket
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_type_hints

import typer

from callreel.domain.errors import CallreelError, SettingsError
from callreel.runtime.typed_command import as_typed

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from callreel.app.offline import OfflineInstallation
    from callreel.domain.audit import AuditAction, AuditEvent
    from callreel.domain.events import Json
    from callreel.domain.ids import CallId
    from callreel.settings import Settings
    from callreel.store.db.database import Database

COMMAND_LINE = "command line"
"""The actor of entries of the audit trail, where a command has no option for a name."""
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only report what would be done.")]

T = TypeVar("T")


def configure(overrides: Mapping[str, object] | None = None, *, quiet: bool = True) -> Settings:
    """Load and validate the settings and configure the log. `quiet` logs warnings and errors only.

    Raises SettingsError.
    """
    from callreel.runtime import log
    from callreel.settings import check, load_settings

    settings = load_settings(overrides)
    check(settings)
    log.configure(
        level="warning" if quiet and settings.log_level in ("debug", "info") else settings.log_level,
        style=settings.log_format,
        secrets=settings.secrets,
    )
    return settings


@contextmanager
def offline() -> Iterator[tuple[Settings, OfflineInstallation]]:
    """Settings, database, files and carrier access for a command that needs no running server."""
    settings = configure()
    from callreel.app.offline import open_installation

    with open_installation(settings) as installation:
        yield settings, installation


def by_command(
    action: AuditAction, by: str = COMMAND_LINE, *, call_id: CallId | None = None, subject: str = ""
) -> AbstractContextManager[object]:
    """Within it, the first change is recorded in the audit trail as done by this command."""
    from callreel.store.audit.pending import audited

    return audited(_event(action, by, call_id=call_id, subject=subject))


def record_command(
    database: Database, action: AuditAction, *, subject: str = "", details: Mapping[str, Json] | None = None
) -> None:
    """Add an entry to the audit trail for a command that changes no row."""
    from callreel.store.audit import trail

    with database.write() as conn:
        trail.record(conn, _event(action, COMMAND_LINE, subject=subject, details=details or {}))


def _event(action: AuditAction, by: str, **values: Any) -> AuditEvent:
    from callreel.domain.audit import AuditEvent, Via
    from callreel.runtime.clock import Clock

    return AuditEvent(Clock().now(), action, by, Via.COMMAND_LINE, **values)


def each_call(call_ids: Iterable[CallId], work: Callable[[CallId], str], done: str) -> None:
    """Do `work` with each call, print what it returns, then how many are `done`; a failed call does not end the rest.

    Exits with 1 if a call failed, else with 0.
    """
    failed = total = 0
    for call_id in call_ids:
        try:
            result = work(call_id)
        except CallreelError as error:
            failed += 1
            result = f"failed: {error}"
        else:
            total += 1
        typer.echo(f"{call_id}\t{result}")
    report(f"{total} calls {done}, {failed or 'none'} failed")
    raise typer.Exit(1 if failed else 0)


def report(text: str, *, err: bool = False) -> None:
    """Print a command's result line, on standard output or on standard error."""
    typer.echo(f"callreel: {as_typed(text)}", err=err)


def print_table(
    headings: Sequence[str], rows: Iterable[Sequence[str]], numbers: Collection[int] = ()
) -> None:
    """Print a table; the columns with these positions hold numbers. Without a terminal it is 200 characters wide."""
    from rich.console import Console
    from rich.table import Table

    table = Table(*headings, box=None, pad_edge=False)
    for position in numbers:
        table.columns[position].justify = "right"
    for row in rows:
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 200).print(table)


@contextmanager
def progress_bar(unit: str, total: int | None) -> Iterator[Callable[..., None]]:
    """A bar on standard error while it is a terminal, else nothing. Yields its `update`, `progress_update` of `rich`."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    terminal = sys.stderr.isatty()
    with Progress(*columns, console=Console(stderr=True), disable=not terminal) as bar:
        yield functools.partial(bar.update, bar.add_task(unit, total=total))


def print_json(document: object) -> None:
    print(json.dumps(document, indent=2, ensure_ascii=False))


def with_options(options: type[T]) -> Callable[[Callable[[T], None]], Callable[..., None]]:
    """A command whose command-line options are the fields of the dataclass `options`."""
    hints = get_type_hints(options, include_extras=True)
    parameters = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in fields(options)  # type: ignore[arg-type]  # a dataclass, which `type` cannot express
    ]

    def decorate(command: Callable[[T], None]) -> Callable[..., None]:
        @functools.wraps(command)
        def run(**values: Any) -> None:
            command(options(**values))

        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = hints
        return run

    return decorate


def require_free(host: str, port: int) -> None:
    """Raise SettingsError if the server cannot listen on `port` of `host`."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError:
        raise SettingsError(f"{host} is not an address of this machine; try --host 127.0.0.1") from None
    with socket.socket(found[0], socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(found[4])
        except PermissionError:
            raise SettingsError(
                f"port {port} requires permissions that this user lacks; try --port 8000"
            ) from None
        except OSError as error:
            reason = "is in use" if error.errno == 98 else f"is not available ({error.strerror})"
            raise SettingsError(
                f"port {port} of {host} {reason}; stop the program that uses it or choose another port, as"
                f" --port {port + 1}"
            ) from None
