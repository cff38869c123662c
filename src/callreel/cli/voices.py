"""Options that `callreel demo` and `callreel simulate` share: the two voices, the speed and the faults."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from callreel.audio.samples import Samples
    from callreel.domain.call import Role
    from callreel.simulator.faults import Fault


@dataclass(frozen=True, kw_only=True)
class VoiceOptions:
    """The voices of a simulated call, its speed and its faults."""

    agent: Annotated[
        Path | None,
        typer.Option(help="WAV file with the agent's voice.", show_default="the included recording"),
    ] = None
    technician: Annotated[
        Path | None,
        typer.Option(help="WAV file with the technician's voice.", show_default="the included recording"),
    ] = None
    speed: Annotated[
        float, typer.Option(min=0.1, max=50, help="Speed of the call relative to real time.")
    ] = 1.0
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[=VALUE]",
            help="Inject a fault; repeatable. `callreel simulate --list-faults` lists them.",
        ),
    ] = None

    def voice(self, role: Role) -> Samples:
        """The voice of `role` as 8 kHz samples. Raises AudioFileError."""
        from callreel.domain.call import Role
        from callreel.simulator.sound.voices import load_voice, shipped_voice

        return load_voice((self.agent if role is Role.AGENT else self.technician) or shipped_voice(role))

    def faults(self) -> tuple[Fault, ...]:
        """Raises SettingsError for an unknown fault."""
        from callreel.simulator.faults import parse_fault

        return tuple(parse_fault(text) for text in self.fault or ())
