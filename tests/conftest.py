"""Settings of all tests: no property test has a deadline, and tests that need the processor in time do not run in parallel.

`make test` shares the files among three processes (`-n 3 --dist loadfile`), since most long tests wait for calls. The tests
of a file run in one process. The files of `IN_REAL_TIME` run in one process too, one after the other.
"""

import os

import pytest
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling

pytest_plugins = ["tests.support.fixtures"]

settings.register_profile("callreel", deadline=None)
settings.load_profile("callreel")

IN_REAL_TIME = (
    "tests/end_to_end/test_browser_day.py",
    "tests/end_to_end/test_browser_softphone.py",
    "tests/end_to_end/test_faults.py",
    "tests/end_to_end/test_benchmarks.py",
    "tests/simulator/test_voice_sdk.py",
    "tests/simulator/test_browser_call.py",
    "tests/simulator/test_live_sound.py",
    "tests/ingest/test_media_socket.py",
)
"""Files whose sound or frames come late when the processor is busy. In the order in which they run."""

LONG = (
    "tests/end_to_end/test_many_machines.py",
    "tests/end_to_end/test_chaos.py",
    "tests/end_to_end/test_media_workers.py",
    "tests/end_to_end/test_kill.py",
    "tests/end_to_end/test_read_in_turn.py",
    "tests/end_to_end/test_object_store.py",
    "tests/end_to_end/test_bad_machine.py",
    "tests/web/test_edge_values.py",
)
"""Begun next, so that no process is left with one of them at the end."""


class InRealTimeTogether(LoadFileScheduling):  # type: ignore[misc]  # it has no types
    """Files to processes, in order; those of `IN_REAL_TIME` as if they were one."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return "in real time" if file in IN_REAL_TIME else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadFileScheduling:
    return InRealTimeTogether(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Long tests run on request. In one of several processes the long files come first, in the same order in each."""
    if not os.environ.get("CALLREEL_TEST_LONG"):
        for item in items:
            if item.get_closest_marker("long"):
                item.add_marker(pytest.mark.skip(reason="long: make test-long"))
    if not hasattr(config, "workerinput"):
        return
    first = {file: place for place, file in enumerate(IN_REAL_TIME + LONG)}
    items.sort(key=lambda item: first.get(item.nodeid.partition("::")[0], len(first)))
