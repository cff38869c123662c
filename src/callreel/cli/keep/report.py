"""`callreel report`: the report of a week, as on the page, without numbers, names or words of a call; printed or by mail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from callreel.cli.command import AsJson, offline, print_json
from callreel.domain.errors import SettingsError

if TYPE_CHECKING:
    from callreel.app.offline import OfflineInstallation
    from callreel.domain.events import Json
    from callreel.review.week import Week
    from callreel.settings import Settings


def report(
    week: Annotated[
        str | None, typer.Option(help="The week, such as 2026-W48; without it, the last complete one.")
    ] = None,
    zone: Annotated[
        str | None,
        typer.Option(
            help="Time zone of days and hours, such as Europe/Berlin. Default: CALLREEL_REPORT_ZONE."
        ),
    ] = None,
    mail: Annotated[
        bool,
        typer.Option("--mail", help="Send the report to CALLREEL_REPORT_RECIPIENTS who have not got it yet."),
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="With --mail: also to those who have got it.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Print the report of a week: volume, busiest hours, silences, alerts, verdicts, labels, calls to review.

    Examples:

    - `callreel report`

    - `callreel report --week 2026-W48 --zone Europe/Berlin --json`

    - `callreel report --mail`
    """
    from callreel.formats.weekly_report import text_lines
    from callreel.review.week import Week
    from callreel.review.weekly import weekly_report
    from callreel.runtime.time_zones import time_zone

    if mail and (zone is not None or as_json):
        raise SettingsError(
            "--mail takes neither --zone, which is CALLREEL_REPORT_ZONE for mails, nor --json"
        )
    if again and not mail:
        raise SettingsError("--again needs --mail")
    with offline() as (settings, installation):
        try:
            reader = time_zone(zone or settings.report_zone)
        except ValueError:
            raise SettingsError("expected a zone such as Europe/Berlin") from None
        try:
            chosen = (
                Week.last_complete(installation.clock.now(), reader) if week is None else Week.parse(week)
            )
        except ValueError as error:
            raise SettingsError(f"cannot report on the week {week!r}: {error}") from None
        if mail:
            raise typer.Exit(_send(settings, installation, chosen, again=again))
        with installation.database.read() as conn:
            found = without_calls(weekly_report(conn, chosen, reader))
    if as_json:
        print_json(found)
        return
    for line in text_lines(found):
        typer.echo(line)


def without_calls(found: dict[str, Json]) -> dict[str, Json]:
    """The report without the listed calls, which have numbers and names."""
    review = found["to_review"]
    assert isinstance(review, dict)
    return {**found, "to_review": {name: value for name, value in review.items() if name != "calls"}}


def _send(settings: Settings, installation: OfflineInstallation, week: Week, *, again: bool) -> int:
    """Send the report and print a line for each recipient; returns the exit code."""
    from callreel.app.mail import report_mail_of
    from callreel.domain.mail import MailState

    if settings.smtp_host is None:
        raise SettingsError("CALLREEL_SMTP_HOST is not set; docs/operations.md says how to set up mail")
    rows = report_mail_of(settings, installation).send_now(week, again=again)
    chosen = [row for row in rows if row.recipient in settings.report_recipients]
    for row in chosen:
        typer.echo(f"{row.recipient}\t{row.state}{f': {row.failure}' if row.failure else ''}")
    return 0 if all(row.state is MailState.SENT for row in chosen) else 1
