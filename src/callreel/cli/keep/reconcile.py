"""`callreel reconcile`: compares the carrier's recordings with the database, and applies the deletion policy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from callreel.cli.command import DryRun, offline, print_table, report
from callreel.domain.errors import SettingsError

if TYPE_CHECKING:
    from callreel.retention.carrier_deletion import Outcome
    from callreel.settings import Settings


def reconcile(
    days: Annotated[int, typer.Option(min=1, max=40, help="Number of days to compare.")] = 2,
    dry_run: DryRun = False,
) -> None:
    """Add recordings whose callbacks were missed, mark those that the carrier lost, and delete what the policy says.

    A running server does this every 15 minutes, and downloads the recordings that this command adds.

    Examples:

    - after a day without callbacks: `callreel reconcile --days 3`

    - what would be deleted at the carrier: `callreel reconcile --dry-run`
    """
    with offline() as (settings, installation):
        from callreel.app.offline import NO_CREDENTIALS
        from callreel.app.schedules import deletion_of
        from callreel.postcall.carrier_inventory import CarrierList

        if not installation.carrier.usable:
            raise SettingsError(NO_CREDENTIALS)
        database, carrier, clock = installation.database, installation.carrier, installation.clock
        review = CarrierList(database, installation.publisher, carrier, clock).review(days, dry_run=dry_run)
        deleted = deletion_of(settings, installation).sweep(dry_run=dry_run)
    would = "would be " if dry_run else ""
    for sid in review.taken_in:
        typer.echo(f"{would}added\t{sid}")
    for sid in review.not_there:
        typer.echo(f"not at the carrier\t{sid}")
    _report_deletions(settings, deleted, would)
    report(
        f"{review.listed} recordings listed, {len(review.taken_in)} {would}added,"
        f" {len(review.not_there)} missing at the carrier, {review.foreign} of other calls"
    )


def _report_deletions(settings: Settings, outcomes: list[Outcome], would: str) -> None:
    from callreel.retention.carrier_deletion import saved_a_month

    if outcomes:
        _print_table(settings, outcomes, would)
    if settings.delete_at_carrier == "never":
        report("nothing is deleted at the carrier (CALLREEL_DELETE_AT_CARRIER is never)")
        return
    durations_ms = [outcome.duration_ms for outcome in outcomes if outcome.reason is None]
    saved = saved_a_month(durations_ms, settings.prices)
    report(
        f"{len(durations_ms)} {would}deleted at the carrier, saving {saved} {settings.price_currency} of storage per month"
    )


def _print_table(settings: Settings, outcomes: list[Outcome], would: str) -> None:
    from callreel.domain.cost import started_minutes
    from callreel.retention.carrier_deletion import saved_a_month

    def cells(outcome: Outcome) -> list[str]:
        kept = outcome.reason is not None
        saved = "" if kept else f"{saved_a_month([outcome.duration_ms], settings.prices)}"
        state = f"kept: {outcome.reason}" if kept else f"{would}deleted"
        return [outcome.sid, outcome.call_id, str(started_minutes(outcome.duration_ms)), saved, state]

    headings = ("recording", "call", "minutes", "saved per month", "at the carrier")
    print_table(headings, map(cells, outcomes))
