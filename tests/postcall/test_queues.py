"""Processes that work on different queues: who takes what, and how much at once."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from callreel.settings.limits import WORK_QUEUES, work_queues
from tests.support.installation import eventually_blocking
from tests.support.postgres import PostgresServer

REPO = Path(__file__).parents[2]


class Worker:
    """A process and what it said."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.said: list[str] = []
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.said.append(line.strip())

    def start(self, workflow: str, key: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{workflow} {key}\n")
        self._process.stdin.flush()

    @property
    def began(self) -> list[str]:
        return [line.removeprefix("begin ") for line in self.said if line.startswith("begin ")]


@contextmanager
def worker(url: str, folder: Path, name: str, queues: str) -> Iterator[Worker]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.queue_process", url, str(folder), name, queues],
        cwd=REPO, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    made = Worker(process)
    try:
        yield made
    finally:
        process.kill()
        process.wait()


def test_each_process_takes_its_queues_and_as_much_as_it_may(
    tmp_path: Path, store_server: PostgresServer
) -> None:
    with worker(url := store_server.new_url(), tmp_path, "one", "light=2") as one:
        for n in range(4):
            one.start("download", f"light{n}")
        eventually_blocking(lambda: len(one.began) == 2, 60)
        # The second finds work that has waited: its first look may take no more than the others.
        with worker(url, tmp_path, "two", "light=1,heavy=1") as two:
            eventually_blocking(lambda: (len(one.began), len(two.began)) == (2, 1), 60)
            for n in range(4):
                (tmp_path / f"light{n}").touch()
            eventually_blocking(
                lambda: len(one.began) + len(two.began) == 5, 30
            )  # the fourth, and one heavy at once
            assert len([line for line in two.said if line.startswith("begin heavy")]) == 1
            for n in range(4):
                (tmp_path / f"heavy{n}").touch()
            done = {f"end heavy{n}" for n in range(4)}
            eventually_blocking(lambda: done <= set(two.said), 30)
            assert not [key for key in one.began if key.startswith("heavy")]
            assert sorted(one.began + two.began) == sorted(
                f"{w}{n}" for w in ("light", "heavy") for n in range(4)
            )


@pytest.mark.parametrize(
    ("text", "queues"),
    [
        ("none", {}),
        ("transcribe", {"transcribe": WORK_QUEUES["transcribe"]}),
        (" download=2, compare ,", {"download": 2, "compare": WORK_QUEUES["compare"]}),
    ],
)
def test_queues_as_they_are_written(text: str, queues: dict[str, int]) -> None:
    assert work_queues(text) == queues


@pytest.mark.parametrize(
    "text", ["all", "download=0", "download=x", "download=-1", "download=1001", "none,download", "=3"]
)
def test_queues_that_mean_nothing(text: str) -> None:
    with pytest.raises(ValueError, match="should be none, or a list of download, transcribe, compare"):
        work_queues(text)
