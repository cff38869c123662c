"""`callreel reconcile`: the carrier's list held against ours, now; and what the policy of deletion would take."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from callreel.cli.begin import begin
from callreel.domain.errors import SettingsError

if TYPE_CHECKING:
    from callreel.retention.carrier_deletion import Outcome
    from callreel.settings import Settings


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Keep")(reconcile)


def reconcile(
    days: Annotated[int, typer.Option(min=1, max=40, help="How far back to ask.")] = 2,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
) -> None:
    """Take in recordings that nobody told us of, note those that the carrier lost, delete there what the policy says.

    A running server does this every quarter of an hour. What is taken in here is fetched by the server.

    Examples:

    - after a day without callbacks: `callreel reconcile --days 3`

    - what would be deleted at the carrier: `callreel reconcile --dry-run`
    """
    settings = begin(quiet=True)
    from callreel.app.offline import at_rest
    from callreel.app.schedules import delete_after_days
    from callreel.postcall.carrier_inventory import CarrierList
    from callreel.retention.carrier_deletion import Deletion

    with at_rest(settings) as rest:
        if not rest.carrier.usable:
            raise SettingsError(
                "no carrier credentials are set: TWILIO_ACCOUNT_SID, TWILIO_API_KEY_SID and its secret"
            )
        review = CarrierList(rest.database, rest.publisher, rest.carrier, rest.clock).review(
            days, dry_run=dry_run
        )
        deletion = Deletion(
            rest.database, rest.blobs, rest.carrier, rest.clock, after_days=delete_after_days(settings)
        )
        gone = deletion.sweep(dry_run=dry_run)
    would = "would be " if dry_run else ""
    for sid in review.taken_in:
        typer.echo(f"{would}taken in\t{sid}")
    for sid in review.not_there:
        typer.echo(f"not at the carrier\t{sid}")
    _tell_deletions(settings, gone, would)
    typer.echo(
        f"callreel: {review.listed} recordings listed, {len(review.taken_in)} {would}taken in,"
        f" {len(review.not_there)} of ours not there, {review.foreign} not ours"
    )


def _tell_deletions(settings: Settings, gone: list[Outcome], would: str) -> None:
    from callreel.retention.carrier_deletion import saved_a_month

    if gone:
        _table(settings, gone, would)
    if settings.delete_at_carrier == "never":
        typer.echo("callreel: nothing is deleted at the carrier (CALLREEL_DELETE_AT_CARRIER is never)")
        return
    went = [outcome.duration_ms for outcome in gone if outcome.why is None]
    saved = saved_a_month(went, settings.prices)
    typer.echo(
        f"callreel: {len(went)} {would}deleted at the carrier, {saved} {settings.price_currency} less storage a month"
    )


def _table(settings: Settings, gone: list[Outcome], would: str) -> None:
    from rich.console import Console
    from rich.table import Table

    from callreel.domain.cost import started_minutes
    from callreel.retention.carrier_deletion import saved_a_month

    table = Table("recording", "call", "minutes", "saves a month", "at the carrier", box=None, pad_edge=False)
    for outcome in gone:
        stays = outcome.why is not None
        saves = "" if stays else f"{saved_a_month([outcome.duration_ms], settings.prices)}"
        what = f"stays: {outcome.why}" if stays else f"{would}deleted"
        table.add_row(outcome.sid, outcome.call_id, str(started_minutes(outcome.duration_ms)), saves, what)
    Console(width=None if sys.stdout.isatty() else 200).print(table)
