"""`callreel user`: the accounts of the people who use the pages."""

import sys
from typing import Annotated

import typer

from callreel.cli.command import offline, report
from callreel.domain.access import LONGEST_NAME, UserRole
from callreel.domain.errors import SettingsError

app = typer.Typer(name="user", help="Add and list user accounts.", no_args_is_help=True)


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="User name for sign-in.")],
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
    role: Annotated[
        UserRole | None,
        typer.Option(
            help="Role of the account.", show_default="administrator for the first account, else agent"
        ),
    ] = None,
) -> None:
    """Add a user account.

    An agent sees their own calls, a supervisor sees all calls, an administrator also manages accounts.

    Examples:

    - `callreel user add kim`

    - `callreel user add robin --role supervisor`

    - `pass show callreel/kim | callreel user add kim --password-stdin`
    """
    name = name.strip()
    if not 1 <= len(name) <= LONGEST_NAME:
        raise SettingsError(f"a user name has 1 to {LONGEST_NAME} characters, got {len(name)}")
    password = _read_password() if password_stdin else _prompt_password(name)
    from callreel.domain.audit import AuditAction, AuditEvent, Via
    from callreel.store.audit import trail
    from callreel.store.people import users
    from callreel.web.auth.passwords import hash_password

    hashed = hash_password(password)
    with offline() as (_, installation), installation.database.write() as conn:
        granted = role or (UserRole.AGENT if users.count(conn) else UserRole.ADMINISTRATOR)
        now = installation.clock.now()
        person = users.add(conn, name, hashed, granted, now)
        event = AuditEvent(
            now, AuditAction.PERSON_ADDED, "command line", Via.COMMAND_LINE, subject=name,
            details={"role": granted.value},
        )  # fmt: skip
        trail.record(conn, event)
    report(f"added {name} with role {person.role}; client identity at the carrier: {person.identity}")


@app.command("list")
def list_accounts() -> None:
    """List the user accounts."""
    from callreel.store.people import users

    with offline() as (_, installation), installation.database.read() as conn:
        everyone = users.all_users(conn)
    for user in everyone:
        state = "disabled" if user.disabled else "active"
        typer.echo(f"{user.name}\t{user.role}\t{state}\tsince {user.created_at:%Y-%m-%d}\t{user.identity}")
    if not everyone:
        report("there are no user accounts; add one with callreel user add NAME", err=True)


@app.command()
def reset_second_factor(name: Annotated[str, typer.Argument(help="User name.")]) -> None:
    """Remove the second factor of a person who lost it, and end their sessions.

    Example: `callreel user reset-second-factor kim`
    """
    from callreel.domain.audit import AuditAction, AuditEvent, Via
    from callreel.store.audit import trail
    from callreel.store.people import second_factors, users

    with offline() as (_, installation), installation.database.write() as conn:
        person = users.get_by_name(conn, name)
        if person is None:
            raise SettingsError(f"there is no user {name!r}; see callreel user list")
        if not second_factors.reset(conn, person.id):
            raise SettingsError(f"{name} has no second factor")
        event = AuditEvent(
            installation.clock.now(), AuditAction.SECOND_FACTOR_RESET, "command line", Via.COMMAND_LINE,
            subject=name,
        )  # fmt: skip
        trail.record(conn, event)
    report(f"removed the second factor of {name}; all sessions of this account ended")


def _prompt_password(name: str) -> str:
    if not sys.stdin.isatty():
        raise SettingsError(
            "cannot prompt for a password without a terminal; pipe it in with --password-stdin"
        )
    password: str = typer.prompt(f"Password for {name}", hide_input=True, confirmation_prompt=True)
    return password


def _read_password() -> str:
    """The first line of standard input, without its line end."""
    return sys.stdin.readline().rstrip("\r\n")
