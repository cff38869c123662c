import asyncio
from pathlib import Path

from callreel.asr.engines.registry import EngineChoice
from callreel.asr.workers.host import EngineHost
from callreel.audio.segmenter import SegmenterOptions
from callreel.evaluation.material import read_material
from callreel.evaluation.real_time import hear_in_real_time
from tests.support.installation import LoudnessDetector
from tests.support.two_channel_call import write_call


def test_a_call_is_heard_in_its_own_time_and_every_segment_has_its_final(tmp_path: Path) -> None:
    (recorded,) = read_material(write_call(tmp_path))

    async def scene() -> None:
        choice = EngineChoice("python:tests.asr.scripted", {"text": "please check the boiler"})
        host = EngineHost(choice, 2)
        await host.start()
        try:
            run = await hear_in_real_time(
                recorded, host, new_detector=LoudnessDetector, segmenter=SegmenterOptions()
            )
        finally:
            await host.close()
        assert run.finals and run.finals_lost == 0
        assert run.partials
        for given in run.finals:
            assert given.final.text == "please check the boiler"
            assert given.at_ms >= given.final.segment.end_ms - SegmenterOptions().post_ms

    asyncio.run(scene())
