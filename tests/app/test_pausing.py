"""What is said pauses the recording: the watch that the composition root builds, on a call of this process."""

from collections.abc import Callable
from pathlib import Path

import pytest

from callreel.app.pausing import open_pausing
from callreel.cluster.event_relay import EventRelay
from callreel.cluster.local_link import LocalLink
from callreel.domain.call import Role
from callreel.domain.ids import CallId
from callreel.domain.transcript import Word
from callreel.ingest.call_registry import CallRegistry
from callreel.ingest.live_pauses import LivePauses
from callreel.settings import Settings
from tests.support.installation import Installation

CALL = CallId("000000000001")


async def test_each_repetition_of_a_phrase_in_a_segment_is_to_pause(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def said(self: LivePauses, call_id: CallId, at_ms: int, pause: Callable[[], object]) -> None:
        asked.append(at_ms)

    monkeypatch.setattr(LivePauses, "said", said)
    here = installation
    settings = Settings(data_dir=tmp_path, pause_phrases=("card number",))
    link = LocalLink(tmp_path / "relay", "one")
    relay = EventRelay(here.bus, link, "one")
    pausing = open_pausing(
        settings, CallRegistry(1), here.database, here.publisher, here.commits, here.clock, relay
    )
    words = [
        Word(text, 100 * at, 100 * at + 100) for at, text in enumerate("card number then card number".split())
    ]
    for count in (2, 4, 5):
        pausing.phrases.stable(CALL, Role.AGENT, 0, words[:count])
    pausing.phrases.final(CALL, Role.AGENT, 0, words)
    pausing.carrier.close()
    await link.close()
    assert asked == [200, 500]
