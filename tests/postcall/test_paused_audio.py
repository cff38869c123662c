"""Our copy of a recording is silent in every pause, whatever the carrier did; the carrier's copy goes by policy."""

from datetime import timedelta

import numpy as np
import pytest
from sqlalchemy import insert

from callreel.audio.samples import Samples
from callreel.domain.pause import CarrierPause, PauseCause, PauseEnd
from callreel.domain.recording import Layer
from callreel.domain.verdict import Verdict
from callreel.domain.work import Workflow
from callreel.store.calls import facts
from callreel.store.db.tables import pauses
from callreel.store.files.sound_files import read_wav
from tests.support.installation import NOON, speech
from tests.support.recorded_call import (
    AGENT_SAYS,
    LATE_MS,
    MEDIA,
    SID,
    Recorded,
    mono_wav,
    two_channel_wav,
)
from tests.support.rest_server import Answer

MARGIN_MS = 40


def pause(
    recorded: Recorded,
    start_ms: int | None,
    end_ms: int | None,
    *,
    at_s: float = 1.0,
    ended_by: PauseEnd | None = PauseEnd.PERSON,
    carrier: CarrierPause = CarrierPause.REFUSED,
) -> None:
    """A pause that began `at_s` after noon, when the call and its recording began, and lasted half a second."""
    began = NOON + timedelta(seconds=at_s)
    values = {
        "call_id": recorded.call_id, "began_at": began, "cause": PauseCause.PERSON, "by": "maria", "start_ms": start_ms,
        "end_ms": end_ms, "ended_at": began + timedelta(seconds=0.5) if ended_by else None, "ended_by": ended_by,
        "carrier": carrier, "carrier_error": "", "carrier_resumed": True, "carrier_at": began,
    }  # fmt: skip
    with recorded.installation.database.write() as conn:
        conn.execute(insert(pauses).values(**values))


def fetched(recorded: Recorded) -> Samples:
    recorded.downloading().download(SID)
    (file,) = recorded.files(Layer.CLOUD)
    samples: Samples = read_wav(recorded.installation.blobs.path(file.path))[0]
    return samples


def silent_ms(kept: Samples, sent: Samples) -> tuple[int, int]:
    """The stretch in which `kept` [n, channels] is silent instead of `sent`; all the rest must be equal."""
    changed = np.flatnonzero((kept != sent).any(axis=1))
    first, last = int(changed[0]), int(changed[-1]) + 1
    assert not kept[first:last].any()
    return round(first / 8), round(last / 8)


def sent_samples(recorded: Recorded) -> Samples:
    wave = recorded.server.answers[MEDIA][0].body
    return np.frombuffer(wave[44:], "<i2").reshape(-1, 2)


def test_a_pause_is_silent_in_our_copy_where_the_live_layers_place_it(recorded: Recorded) -> None:
    pause(recorded, 1_000, 1_500)
    kept = fetched(recorded)
    first, last = silent_ms(kept, sent_samples(recorded))
    assert abs(first - (1_000 + LATE_MS - MARGIN_MS)) <= 1 and abs(last - (1_500 + LATE_MS + MARGIN_MS)) <= 1
    with recorded.installation.database.read() as conn:
        noted = [
            fact.data for fact in facts.of_call(conn, recorded.call_id) if fact.kind == "pauses_silenced"
        ]
    assert noted == [{"recording_sid": SID, "silenced_ms": 580}]


@pytest.mark.parametrize(
    ("start_ms", "end_ms", "ended_by", "silent"),
    [
        (2_800, None, PauseEnd.CALL, (3_060, 5_000)),  # to the end of the call
        (
            600,
            None,
            PauseEnd.PERSON,
            (860, 3_440),
        ),  # its process was killed before it stored the end: half a second, and a margin
        (None, None, PauseEnd.PERSON, (0, 3_500)),  # never placed: by the clock
    ],
)
def test_a_pause_without_an_end_is_silent_for_long_enough(
    recorded: Recorded,
    start_ms: int | None,
    end_ms: int | None,
    ended_by: PauseEnd,
    silent: tuple[int, int],
) -> None:
    pause(recorded, start_ms, end_ms, ended_by=ended_by)
    kept = fetched(recorded)
    first, last = (round(ms * 8) for ms in silent)
    assert not kept[first:last].any()
    assert np.array_equal(kept[last + 8 :], sent_samples(recorded)[last + 8 :])


def test_a_recording_that_does_not_align_is_silenced_by_the_clock(recorded: Recorded) -> None:
    other = two_channel_wav(speech(9_000, seed=8), speech(9_000, seed=9))
    recorded.server.put(MEDIA, Answer(body=other))
    pause(recorded, 1_000, 1_500, at_s=4)
    kept = fetched(recorded)
    assert silent_ms(kept, np.frombuffer(other[44:], "<i2").reshape(-1, 2)) == (2_000, 6_500)


def test_a_mono_recording_is_silenced_too(recorded: Recorded) -> None:
    before = np.concatenate([np.zeros(LATE_MS * 8, np.int16), AGENT_SAYS])
    recorded.server.put(MEDIA, Answer(body=mono_wav(before)))
    pause(recorded, 1_000, 1_500)
    first, last = silent_ms(fetched(recorded), before.reshape(-1, 1))
    assert abs(first - 1_260) <= 1 and abs(last - 1_840) <= 1


def test_a_refused_pause_gives_no_suspect_verdict_and_no_words(recorded: Recorded) -> None:
    """The live layers are silent, the carrier's recording is not."""
    pause(recorded, 1_000, 1_700)
    for file in recorded.files(Layer.LIVE_8K):
        path = recorded.installation.blobs.path(file.path)
        wave = bytearray(path.read_bytes())
        wave[44 + 1_000 * 16 : 44 + 1_700 * 16] = bytes(700 * 16)
        path.write_bytes(wave)
    recorded.engine().work_on(Workflow.DOWNLOAD, SID)
    assert recorded.call.verdict is Verdict.VERIFIED, recorded.call.reasons
