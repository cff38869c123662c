"""`<Say>`, `<Play>`, `<Pause>` and `<Gather>` on one leg of a call: what it receives, how long it takes, what it answers.

Speech is not synthesised: it is silence of the duration that it would have. A sound is downloaded if it is on this machine;
the caller's leg then receives its samples, and so do the call's stream and recording, which are of that leg. What a dialled
leg receives before the bridge is in neither (reference/twilio.md, section 2.2).
"""

import math
from urllib.parse import urljoin, urlsplit

import numpy as np

from callreel.audio import wav
from callreel.audio.samples import TELEPHONE_HZ, Samples
from callreel.domain.call import Track
from callreel.runtime.loopback import is_loopback
from callreel.simulator.calls.context import FETCH_FAILED, CallContext
from callreel.simulator.calls.twiml_script import Gather, Pause, Play, Say
from callreel.simulator.scenario import Prompt

_REACTION_MS = 600
"""How long a person takes to press a key, or to begin to speak."""
_SPOKEN_MS = 1000


async def play(call: CallContext, leg_sid: str, verb: Say | Play | Pause, at_ms: int, url: str) -> int:
    """Start the verb at `at_ms` on a leg; the position of its end. `url` is that of its document."""
    if isinstance(verb, Pause) or (isinstance(verb, Play) and verb.digits is not None):
        return at_ms + verb.duration_ms
    what, duration_ms = verb.text if isinstance(verb, Say) else urljoin(url, verb.url), verb.duration_ms
    if isinstance(verb, Play) and is_loopback(urlsplit(what).hostname):
        samples = await _download(call, what)
        if samples is None:
            return max(at_ms, call.clock.next_ms())
        at_ms = max(at_ms, call.clock.next_ms())
        duration_ms = math.ceil(samples.size * 1000 / TELEPHONE_HZ / 20) * 20 * verb.loop
        if leg_sid == call.leg.sid:
            call.audio.write(Track.OUTBOUND, at_ms, np.tile(samples, verb.loop))
    call.prompts.append(Prompt(leg_sid, what, at_ms, at_ms + duration_ms))
    return at_ms + duration_ms


async def gather(
    call: CallContext, leg_sid: str, verb: Gather, at_ms: int, url: str
) -> tuple[int, dict[str, str] | None]:
    """Play the nested verbs and wait for the next response of the script; the position of its end, and the fields of the
    request to `action`, None if the document continues after the `<Gather>`."""
    for prompt in verb.prompts:
        at_ms = await play(call, leg_sid, prompt, at_ms, url)
    response = call.responses.popleft() if call.responses else ""
    if response and set(response) <= set("0123456789*#") and "dtmf" in verb.inputs:
        digits = response[: verb.num_digits] if verb.num_digits else response.rstrip("#")
        return at_ms + _REACTION_MS, {"Digits": digits, "FinishedOnKey": ""}
    if response and "speech" in verb.inputs:
        return at_ms + _REACTION_MS + _SPOKEN_MS, {"SpeechResult": response, "Confidence": "0.91"}
    return at_ms + verb.timeout_s * 1000, {"Digits": ""} if verb.action_on_empty else None


async def _download(call: CallContext, url: str) -> Samples | None:
    """A WAV file of 16 bits as samples of its first channel [n] at 8 kHz; None with a warning if there is none."""
    delivery = await call.fetch(url, {}, "GET")
    if not delivery.accepted:
        return None
    content = delivery.content
    try:
        info = wav.scan(lambda at, count: content[at : at + count], len(content))
    except wav.WavError:
        call.warnings.append(f"{FETCH_FAILED} {url} is not a WAV file")
        return None
    body = np.frombuffer(content, "<i2", offset=info.data_offset, count=info.data_bytes // 2)
    step = max(1, round(info.rate_hz / TELEPHONE_HZ))
    return np.ascontiguousarray(body[:: info.channels * step]).astype(np.int16)
