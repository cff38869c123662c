"""`callreel measure`: measures calls that ended before Callreel measured them, or again after definitions changed."""

from __future__ import annotations

from typing import Annotated

import typer

from callreel.cli.command import each_call, offline


def measure(
    call: Annotated[
        str | None, typer.Argument(help="ID of the call; without it, every call that is not measured yet.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Also the calls that were measured before.")] = False,
) -> None:
    """Measure talk time, turns, interruptions and silences of finished calls, from their recordings.

    New calls are measured automatically. An interrupted command continues where it stopped when it is repeated.
    Exit code 1 if a call failed.

    Examples:

    - `callreel measure`

    - `callreel measure 3f9c0a1b2c3d`
    """
    with offline() as (settings, installation):
        from callreel.app.measuring import measuring_of
        from callreel.store.calls import measures

        measuring = measuring_of(settings, installation)
        with installation.database.read() as conn:
            selected = measures.unmeasured(conn, again=again)
        each_call(
            [installation.existing_call(call)] if call else selected,
            lambda call_id: f"{measuring.measure(call_id)} turns",
            "measured",
        )
