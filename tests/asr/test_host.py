import asyncio
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from callreel.asr.engines.registry import EngineChoice
from callreel.asr.languages import LanguageError
from callreel.asr.workers.host import EngineHost
from callreel.domain.errors import EngineError


def scripted(**options: str | int | float | bool) -> EngineChoice:
    return EngineChoice("python:tests.asr.scripted", options)


def audio(first: int = 0) -> npt.NDArray[np.int16]:
    """A second of audio that an echoing engine knows by its first sample."""
    samples = np.zeros(16000, np.int16)
    samples[0] = first
    return samples


@asynccontextmanager
async def running(
    choice: EngineChoice, workers: int = 1, job_timeout_s: float = 10
) -> AsyncIterator[EngineHost]:
    host = EngineHost(choice, workers, start_timeout_s=20, job_timeout_s=job_timeout_s)
    await host.start()
    try:
        yield host
    finally:
        pids = host.pids
        await host.close()
        assert [pid for pid in pids if exists(pid)] == []


def exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def text(host: EngineHost, samples: npt.NDArray[np.int16], *, partial: bool = False) -> str:
    return " ".join(word.text for word in (await host.decode([samples], partial=partial))[0])


async def test_words_come_back_with_their_times() -> None:
    async with running(scripted(text="good day|bye")) as host:
        assert host.capabilities.name == "scripted"
        assert (host.idle, host.workers, host.restarts) == (1, 1, 0)
        [words] = await host.decode([audio()])
        assert [(word.text, word.start_ms, word.end_ms) for word in words] == [
            ("good", 0, 571),
            ("day", 571, 1000),
        ]
        assert await text(host, audio()) == "bye"
        assert await text(host, audio(), partial=True) == "good"


async def test_word_without_usable_times_costs_neither_its_segment_nor_its_process() -> None:
    async with running(scripted(text="good day", times=False)) as host:
        [words] = await host.decode([audio()])
        assert [(word.text, word.start_ms, word.end_ms, word.confidence) for word in words] == [
            ("good", 0, 571, None),
            ("day", 571, 1000, None),
        ]
        assert (host.idle, host.restarts) == (1, 0)


async def test_each_of_many_jobs_gets_its_own_answer() -> None:
    async with running(scripted(echo=True), workers=2) as host:
        answers = await asyncio.gather(*(text(host, audio(number)) for number in range(40)))
        assert answers == [str(number) for number in range(40)]


async def test_batch_is_answered_in_order_after_a_process_death(
    tmp_path: Path,
) -> None:
    """A batch is as large as the engine likes; each of its segments has exactly one answer, in their order."""

    async def scene(batch: int, deaths: int) -> list[str]:
        choice = scripted(echo=True, batch=batch, deaths=deaths, folder=str(tmp_path), languages="de|fr")
        async with running(choice) as host:
            decoded = await host.decode([audio(number) for number in range(5)], language="de")
            assert [words.language for words in decoded] == ["xx"] * 5
            return [" ".join(word.text for word in words) for words in decoded]

    assert await scene(1, 0) == [f"de {number}" for number in range(5)]
    several = [f"de {number} of2" for number in range(4)]
    assert await scene(2, 1) == [*several, "de 4"]


async def test_a_batch_with_an_answer_too_few_is_refused() -> None:
    async with running(scripted(echo=True, batch=3, short=True)) as host:
        with pytest.raises(EngineError, match="answered for 2 of 3 segments"):
            await host.decode([audio(number) for number in range(3)])
        assert await text(host, audio(7)) == "7"


async def test_unsupported_language_is_refused_in_one_line() -> None:
    async with running(scripted(echo=True, languages="de")) as host:
        [words] = await host.decode([audio(1)], language="en")
        assert words[0].text == "1", "it expects English anyway"
        [words] = await host.decode([audio(1)], language="de")
        assert [word.text for word in words] == ["de", "1"]
        with pytest.raises(LanguageError, match=r"does not transcribe Welsh \(cy\), only en, de"):
            await host.decode([audio(1)], language="cy")


async def test_a_job_whose_process_is_killed_is_answered_exactly_once(tmp_path: Path) -> None:
    async with running(scripted(echo=True, deaths=1, folder=str(tmp_path)), workers=2) as host:
        answers = await asyncio.gather(*(text(host, audio(number)) for number in range(6)))
        assert answers == ["0", "1", "2", "3", "4", "5"]
        assert host.restarts == 1


async def test_job_that_kills_two_processes_fails_and_the_next_works(tmp_path: Path) -> None:
    async with running(scripted(echo=True, deaths=2, folder=str(tmp_path))) as host:
        with pytest.raises(EngineError, match="in 2 tries"):
            await host.decode([audio(1)])
        assert await text(host, audio(2)) == "2"
        assert host.restarts == 2


async def test_process_that_dies_while_idle_costs_no_job() -> None:
    async with running(scripted(echo=True)) as host:
        (pid,) = host.pids
        os.kill(pid, signal.SIGKILL)
        assert await text(host, audio(7)) == "7"
        assert host.restarts == 1
        assert host.pids != [pid]


async def test_a_job_that_takes_too_long_is_given_up() -> None:
    async with running(scripted(hang=True), job_timeout_s=0.1) as host:
        with pytest.raises(EngineError, match=r"took longer than 0\.1 s"):
            await host.decode([audio()])


async def test_giving_up_waiting_does_not_disturb_the_next_answer() -> None:
    async with running(scripted(echo=True, delay_s=0.05)) as host:
        given_up = asyncio.create_task(host.decode([audio(1)]))
        waiting = asyncio.create_task(host.decode([audio(2)]))
        await asyncio.sleep(0)
        assert host.idle == 0
        given_up.cancel()
        waiting.cancel()
        assert await text(host, audio(3)) == "3"
        assert host.restarts == 0


async def test_engine_error_is_passed_on_and_its_process_lives() -> None:
    async with running(scripted(grumble="the audio is not to my taste")) as host:
        pids = host.pids
        with pytest.raises(EngineError, match="not to my taste"):
            await host.decode([audio()])
        with pytest.raises(EngineError, match="not to my taste"):
            await host.decode([audio()])
        assert host.pids == pids


async def test_foreign_exception_is_reported_by_type_only() -> None:
    async with running(scripted(echo=True)) as host:
        with pytest.raises(EngineError, match=r"IndexError at scripted\.py") as raised:
            await host.decode([np.zeros(0, np.int16)])
        assert "out of bounds" not in str(raised.value)


async def test_closing_ends_unfinished_and_waiting_jobs() -> None:
    async with running(scripted(hang=True)) as host:
        jobs = [asyncio.create_task(host.decode([audio()])) for _ in range(3)]
        await asyncio.sleep(0)
        await host.close()
        outcomes = await asyncio.gather(*jobs, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [EngineError] * 3
        assert host.idle == 0
        with pytest.raises(EngineError, match="not running"):
            await host.decode([audio()])


@pytest.mark.parametrize(
    ("choice", "reason"),
    [
        (scripted(complaint="the model is on holiday"), "the model is on holiday"),
        (scripted(volume=11), "no option 'volume'"),
        (EngineChoice("dragon"), "expected an engine out of faster-whisper"),
        (EngineChoice("python:no.such.module"), "needs the module no"),
    ],
)
async def test_an_engine_that_cannot_be_loaded_says_why(choice: EngineChoice, reason: str) -> None:
    host = EngineHost(choice, 2)
    with pytest.raises(EngineError, match=reason):
        await host.start()
    assert host.pids == []


async def test_an_engine_that_is_slow_to_load_is_given_up() -> None:
    host = EngineHost(scripted(), 1, start_timeout_s=0.001)
    with pytest.raises(EngineError, match=r"could not be started.*longer than 0\.001 s"):
        await host.start()
    assert host.pids == []


PROGRAM = """
import asyncio, json, os, signal, sys
import numpy as np
from callreel.asr.workers.host import EngineHost
from callreel.asr.engines.registry import EngineChoice

print("this line comes once, since no worker runs the main program again")

async def main():
    host = EngineHost(EngineChoice("python:tests.asr.scripted", {"hang": True}), 2)
    await host.start()
    job = asyncio.create_task(host.decode([np.ones(16000, np.int16)]))
    print(json.dumps(host.pids), flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


def test_processes_die_with_their_parent_and_leave_its_output_alone(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    root = str(Path(__file__).parents[2])
    with subprocess.Popen(
        [sys.executable, str(program)],
        env={**os.environ, "PYTHONPATH": f"{root}/src:{root}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        assert b"comes once" in parent.stdout.readline()
        pids = json.loads(parent.stdout.readline())
        watches = [os.pidfd_open(pid) for pid in pids]
        parent.stdin.write(b"now\n")
        parent.stdin.close()
        assert parent.stdout.read() == b""
    for watch in watches:
        assert select.select([watch], [], [], 5)[0] == [watch]
        os.close(watch)


def test_a_worker_imports_nothing_of_the_web_side() -> None:
    asked = "import callreel.asr.workers.worker, sys; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", asked], capture_output=True, check=True).stdout.split()
    heavy = (b"callreel.web", b"callreel.app", b"callreel.cli", b"fastapi", b"sqlalchemy", b"pydantic")
    assert b"callreel.asr.workers.worker" in modules
    assert [name for name in modules if name.startswith(heavy)] == []
