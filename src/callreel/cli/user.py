"""`callreel user`: who may sign in to the pages."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from callreel.cli.begin import begin
from callreel.domain.access import LONGEST_NAME, UserRole
from callreel.domain.errors import SettingsError

if TYPE_CHECKING:
    from callreel.store.db.database import Database


def register(app: typer.Typer) -> None:
    group = typer.Typer(name="user", help="Add and list the people who may sign in.", no_args_is_help=True)
    group.command("add")(add)
    group.command("list")(list_all)
    app.add_typer(group, rich_help_panel="Run")


def add(
    name: Annotated[str, typer.Argument(help="Name to sign in with.")],
    password_stdin: Annotated[
        bool,
        typer.Option("--password-stdin", help="Read the password from standard input instead of asking."),
    ] = False,
    role: Annotated[
        UserRole | None,
        typer.Option(help="What they may do.", show_default="administrator for the first, else agent"),
    ] = None,
) -> None:
    """Let somebody sign in.

    An agent has own calls, a supervisor all of them, an administrator also the people.

    Examples:

    - `callreel user add kim`

    - `callreel user add robin --role supervisor`

    - `pass show callreel/kim | callreel user add kim --password-stdin`
    """
    settings = begin(quiet=True)
    name = name.strip()
    if not 1 <= len(name) <= LONGEST_NAME:
        raise SettingsError(f"a user name has 1 to {LONGEST_NAME} characters")
    password = _read_password() if password_stdin else _ask_password(name)
    from callreel.store.people import users
    from callreel.web.auth.passwords import hash_password

    hashed = hash_password(password)
    database = _open(settings.app_database_url)
    try:
        with database.write() as conn:
            kept = role or (UserRole.AGENT if users.count(conn) else UserRole.ADMINISTRATOR)
            person = users.add(conn, name, hashed, kept, datetime.now(UTC))
    finally:
        database.close()
    typer.echo(
        f"callreel: {name} may sign in now as {person.role}; to the carrier they are {person.identity}"
    )


def list_all() -> None:
    """List who may sign in."""
    settings = begin(quiet=True)
    from callreel.store.people import users

    database = _open(settings.app_database_url)
    try:
        with database.read() as conn:
            everyone = users.all_users(conn)
    finally:
        database.close()
    for user in everyone:
        state = "disabled" if user.disabled else "active"
        typer.echo(f"{user.name}\t{user.role}\t{state}\tsince {user.created_at:%Y-%m-%d}\t{user.identity}")
    if not everyone:
        typer.echo("callreel: nobody may sign in yet; callreel user add NAME", err=True)


def _open(url: str) -> Database:
    from callreel.store.db.database import Database

    database = Database.open(url)
    database.migrate()
    return database


def _ask_password(name: str) -> str:
    if not sys.stdin.isatty():
        raise SettingsError("there is no terminal to ask for a password; give it with --password-stdin")
    password: str = typer.prompt(f"Password for {name}", hide_input=True, confirmation_prompt=True)
    return password


def _read_password() -> str:
    """The first line of standard input, without its end."""
    return sys.stdin.readline().rstrip("\r\n")
