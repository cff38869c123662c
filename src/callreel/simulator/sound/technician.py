"""The other party of a live call: a recorded voice that takes turns with the person."""

from callreel.audio.samples import FRAME_MS, Samples
from callreel.domain.call import Track
from callreel.simulator.calls.context import CallContext
from callreel.simulator.sound.live_sound import LEAD_MS
from callreel.simulator.sound.turn_taking import HangUp, Say, TurnTaking, split_lines


async def run_technician(call: CallContext, voice: Samples, *, speaks: Track, from_ms: int) -> None:
    """Play `voice` [n] line by line on the track `speaks`, in the pauses of the other track, then hang up.

    `from_ms` is on the grid of frames.
    """
    other = Track.INBOUND if speaks is Track.OUTBOUND else Track.OUTBOUND
    turns = TurnTaking(split_lines(voice))
    at_ms = from_ms
    while await call.wait_until(at_ms + FRAME_MS):
        match turns.process(call.audio.samples(other, at_ms, at_ms + FRAME_MS)):
            case Say(line):
                call.audio.write(speaks, call.clock.next_ms() + LEAD_MS, line)
            case HangUp():
                call.hang_up()
            case None:
                pass
        at_ms += FRAME_MS
