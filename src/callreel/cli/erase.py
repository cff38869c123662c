"""`callreel erase`, `hold` and `release`: one call for good, or kept from that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from callreel.cli.begin import begin
from callreel.domain.errors import CallreelError, StoreError

if TYPE_CHECKING:
    from callreel.app.offline import OfflineInstallation
    from callreel.domain.ids import CallId
    from callreel.store.calls.erasures import ErasureRow

_Call = Annotated[str, typer.Argument(help="A call's id.")]
_By = Annotated[str, typer.Option("--by", help="Who wants it; stays with the record.")]


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Keep")(erase)
    app.command(rich_help_panel="Keep")(hold)
    app.command(rich_help_panel="Keep")(release)


def erase(
    call: _Call,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    here_only: Annotated[
        bool, typer.Option("--here-only", help="Leave the carrier's copy of the recording.")
    ] = False,
    by: _By = "command line",
    reason: Annotated[str, typer.Option("--reason", help="Why; stays with the record.")] = "",
) -> None:
    """Erase a call for good: audio, text, numbers and notes, here and at the carrier. That it was, and digests, stay.

    What cannot be done now is noted, and a running server goes on with it. By itself after some days:
    CALLREEL_ERASE_AFTER_DAYS. A held call is refused. Copies in backups stay in those.

    Examples:

    - `callreel erase 3f9c0a1b2c3d --reason "request of 25 November"`
    """
    settings = begin(quiet=True)
    from callreel.app import schedules
    from callreel.app.offline import at_rest
    from callreel.retention.erasure_orders import ErasureOrders, ErasureRefusedError
    from callreel.store.db.scrub import scrub

    with at_rest(settings) as rest:
        orders = ErasureOrders(rest.database, rest.clock, carrier_usable=rest.carrier.usable)
        call_id = _known(rest, call)
        would_go = orders.would_go(call_id)
        if would_go is not None and would_go.refusal is not None and not _begun(rest, call_id):
            raise ErasureRefusedError(would_go.refusal)
        if not yes and would_go is not None:
            files, there = len(would_go.files), 0 if here_only else len(would_go.recordings)
            typer.confirm(
                f"Erase call {call} for good: {files} files here, {there} recordings at the carrier, all text and notes?",
                abort=True,
            )
        orders.ask(call_id, by, reason, at_carrier=not here_only)
        try:
            done = schedules.erasing(settings, rest).erase(call_id)
        except CallreelError as error:
            raise StoreError(
                f"call {call} is not erased yet: {error}. It is noted; a running server goes on with it, or "
                "give this command again"
            ) from None
        scrub(rest.database)
    _tell(done)


def _tell(done: ErasureRow) -> None:
    for path, sha256 in sorted(done.files.items()):
        typer.echo(f"{sha256 or '(not closed)'}  {path}")
    for sid, became in sorted(done.recordings.items()):
        outcome = became.get("outcome") if isinstance(became, dict) else became
        typer.echo(f"carrier: {sid} {outcome}")
    typer.echo(f"callreel: call {done.call_id} is erased, with {len(done.files)} files")


def hold(
    call: Annotated[str | None, typer.Argument(help="A call's id; without one, all held calls.")] = None,
    reason: Annotated[str, typer.Option("--reason", help="Why.")] = "",
    by: _By = "command line",
) -> None:
    """Keep a call from being erased, by anybody and by every policy, until it is let go; or list what is held.

    Archiving goes on, since it keeps the very samples. Who held a call, and why, stays with it.

    Examples:

    - `callreel hold 3f9c0a1b2c3d --reason "case 17"`

    - what is held? `callreel hold`
    """
    settings = begin(quiet=True)
    from callreel.app.offline import at_rest
    from callreel.retention.legal_hold import LegalHolds
    from callreel.store.calls import holds

    with at_rest(settings) as rest:
        if call is None:
            with rest.database.read() as conn:
                rows = holds.all_current(conn)
            for row in rows:
                typer.echo(f"{row.call_id}\t{row.at:%Y-%m-%d}\t{row.by}\t{row.reason}")
            typer.echo(f"callreel: {len(rows)} calls are held")
            return
        LegalHolds(rest.database, rest.publisher, rest.clock).hold(_known(rest, call), reason, by)
    typer.echo(f"callreel: call {call} is held")


def release(
    call: _Call,
    reason: Annotated[str, typer.Option("--reason", help="Why it need not be held any more.")] = "",
    by: _By = "command line",
) -> None:
    """Let a held call go. Nothing is erased by that.

    Examples:

    - `callreel release 3f9c0a1b2c3d --reason "case 17 is closed"`
    """
    settings = begin(quiet=True)
    from callreel.app.offline import at_rest
    from callreel.retention.legal_hold import LegalHolds

    with at_rest(settings) as rest:
        LegalHolds(rest.database, rest.publisher, rest.clock).release(_known(rest, call), reason, by)
    typer.echo(f"callreel: call {call} is held no more")


def _begun(rest: OfflineInstallation, call_id: CallId) -> bool:
    from callreel.store.calls import erasures

    with rest.database.read() as conn:
        return erasures.get(conn, call_id) is not None


def _known(rest: OfflineInstallation, call: str) -> CallId:
    from callreel.domain.ids import CallId
    from callreel.store.calls import erasures

    with rest.database.read() as conn:
        erased = erasures.get(conn, CallId(call))
    if erased is not None and erased.erased_at is not None:
        raise StoreError(f"call {call} was erased on {erased.erased_at:%Y-%m-%d}, by {erased.by}")
    return rest.known(call)
