"""The other end of a live call: a recorded voice that talks with the person, on the tracks of the call.

When it speaks is `turn_taking`'s decision. It hears what streams and recordings hear, no more and no earlier.
"""

from callreel.audio.samples import FRAME_MS, Samples
from callreel.domain.call import Track
from callreel.simulator.calls.context import CallContext
from callreel.simulator.sound.live_sound import LEAD_MS
from callreel.simulator.sound.turn_taking import HangUp, Say, TurnTaking, split_lines


async def run_technician(
    call: CallContext, voice: Samples, *, speaks: Track, hears: Track, from_ms: int
) -> None:
    """Say `voice` [n] line by line from `from_ms`, on the grid of frames, until the call is over; hang up at the end."""
    turns = TurnTaking(split_lines(voice))
    at_ms = from_ms
    while await call.wait_until(at_ms + FRAME_MS):
        match turns.hear(call.audio.samples(hears, at_ms, at_ms + FRAME_MS)):
            case Say(line):
                call.audio.lay(speaks, call.clock.next_ms() + LEAD_MS, line)
            case HangUp():
                call.hang_up()
            case None:
                pass
        at_ms += FRAME_MS
