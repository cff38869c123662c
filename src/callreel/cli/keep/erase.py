"""`callreel erase`, `hold` and `release`: erasure of one call, and the legal hold that prevents it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from callreel.cli.command import by_command, offline, report
from callreel.domain.audit import AuditAction
from callreel.domain.errors import CallreelError, StoreError

if TYPE_CHECKING:
    from callreel.app.offline import OfflineInstallation
    from callreel.domain.ids import CallId
    from callreel.store.calls.erasures import ErasureRow

_Call = Annotated[str, typer.Argument(help="ID of the call.")]
_By = Annotated[str, typer.Option("--by", help="Who requests it; recorded.")]


def erase(
    call: _Call,
    yes: Annotated[bool, typer.Option("--yes", help="Skip the confirmation.")] = False,
    here_only: Annotated[
        bool, typer.Option("--here-only", help="Do not delete the carrier's copy of the recording.")
    ] = False,
    by: _By = "command line",
    reason: Annotated[str, typer.Option("--reason", help="Reason; recorded.")] = "",
) -> None:
    """Erase a call permanently, here and at the carrier: audio, text, numbers and notes. A tombstone with digests remains.

    If a part fails, the order is stored and a running server retries it. A call under legal hold is not erased. Copies in
    backups are not erased. CALLREEL_RETENTION erases calls automatically.

    Examples:

    - `callreel erase 3f9c0a1b2c3d --reason "request of 25 November"`
    """
    with offline() as (settings, installation):
        from callreel.app import schedules
        from callreel.postcall.durable import unfinished_in
        from callreel.retention.erasure_orders import ErasureOrders, ErasureRefusedError

        unfinished = partial(unfinished_in, settings.durable_database_url)
        orders = ErasureOrders(
            installation.database, installation.clock, carrier_usable=installation.carrier.usable
        )
        call_id = _existing(installation, call)
        plan = orders.preview(call_id)
        if plan is not None and plan.refusal is not None and not _ordered(installation, call_id):
            raise ErasureRefusedError(plan.refusal)
        if not yes and plan is not None:
            files, remote = len(plan.files), 0 if here_only else len(plan.recordings)
            typer.confirm(
                f"Erase call {call} permanently: {files} files here, {remote} recordings at the carrier, all text and notes?",
                abort=True,
            )
        with by_command(AuditAction.ERASURE_ORDERED, by, call_id=call_id):
            orders.request(call_id, by, reason, at_carrier=not here_only)
        try:
            done = schedules.eraser_of(settings, installation, unfinished).erase(call_id)
        except CallreelError as error:
            raise StoreError(
                f"call {call} is not erased yet: {error}. The order is stored: a running server retries it, or run"
                " this command again"
            ) from None
    _print_tombstone(done)


def _print_tombstone(done: ErasureRow) -> None:
    for path, sha256 in sorted(done.files.items()):
        typer.echo(f"{sha256 or '(not closed)'}  {path}")
    for sid, became in sorted(done.recordings.items()):
        outcome = became.get("outcome") if isinstance(became, dict) else became
        typer.echo(f"carrier: {sid} {outcome}")
    report(f"erased call {done.call_id}, {len(done.files)} files")


def hold(
    call: Annotated[
        str | None, typer.Argument(help="ID of the call; without it, lists the calls under legal hold.")
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="Reason; recorded.")] = "",
    by: _By = "command line",
) -> None:
    """Place a call under legal hold, or list the calls under legal hold. No person and no policy can erase such a call.

    Archiving continues, since it preserves every sample.

    Examples:

    - `callreel hold 3f9c0a1b2c3d --reason "case 17"`

    - list: `callreel hold`
    """
    with offline() as (_, installation):
        from callreel.retention.legal_hold import LegalHolds
        from callreel.store.calls import holds

        if call is None:
            with installation.database.read() as conn:
                rows = holds.all_current(conn)
            for row in rows:
                typer.echo(f"{row.call_id}\t{row.at:%Y-%m-%d}\t{row.by}\t{row.reason}")
            report(f"{len(rows)} calls are under legal hold")
            return
        legal_holds = LegalHolds(installation.database, installation.publisher, installation.clock)
        call_id = _existing(installation, call)
        with by_command(AuditAction.HELD, by, call_id=call_id):
            legal_holds.hold(call_id, reason, by)
    report(f"call {call} is under legal hold")


def release(
    call: _Call,
    reason: Annotated[str, typer.Option("--reason", help="Reason; recorded.")] = "",
    by: _By = "command line",
) -> None:
    """Release a call from legal hold. This erases nothing.

    Examples:

    - `callreel release 3f9c0a1b2c3d --reason "case 17 is closed"`
    """
    with offline() as (_, installation):
        from callreel.retention.legal_hold import LegalHolds

        legal_holds = LegalHolds(installation.database, installation.publisher, installation.clock)
        call_id = _existing(installation, call)
        with by_command(AuditAction.RELEASED, by, call_id=call_id):
            legal_holds.release(call_id, reason, by)
    report(f"call {call} is no longer under legal hold")


def _ordered(installation: OfflineInstallation, call_id: CallId) -> bool:
    from callreel.store.calls import erasures

    with installation.database.read() as conn:
        return erasures.get(conn, call_id) is not None


def _existing(installation: OfflineInstallation, call: str) -> CallId:
    from callreel.domain.ids import CallId
    from callreel.store.calls import erasures

    with installation.database.read() as conn:
        erased = erasures.get(conn, CallId(call))
    if erased is not None and erased.erased_at is not None:
        raise StoreError(f"call {call} was erased on {erased.erased_at:%Y-%m-%d}, by {erased.by}")
    return installation.existing_call(call)
