"""A process whose durable engine takes up work and loses it, for `test_durable`.

Usage: python -m tests.support.lost_work FOLDER
The first start of the body fails before the body runs, as when the database is locked between taking up and running;
then its step fails twice as a locked database does. Another workflow is one that the library gives up.
"""

import sys
import time
from pathlib import Path

import dbos._queue

from callreel.domain.errors import StoreError
from callreel.domain.work import Workflow
from callreel.postcall.durable import DurableEngine, Steps
from callreel.runtime.retry import Retry


def main(folder: Path) -> None:
    ran: list[str] = []
    started = vars(dbos._queue)["execute_dequeued_workflow"]
    failed: list[str] = []

    def fails_once(*arguments: object, **named: object) -> object:
        if not failed:
            failed.append("once")
            raise StoreError("the database failed: database is locked")
        return started(*arguments, **named)

    vars(dbos._queue)["execute_dequeued_workflow"] = fails_once

    def work() -> int:
        ran.append("step")
        if len(ran) < 3:
            raise StoreError("the database failed: database is locked")
        return len(ran)

    def body(steps: Steps, key: str) -> None:
        steps.run("kept", lambda: (folder / key).write_text(str(steps.run("work", work))))

    def given_up(steps: Steps, key: str) -> None:
        if not failed:
            return
        if not (folder / "given up").exists():
            (folder / "given up").touch()
            raise LookupError("a fault of the body, outside a step")
        steps.run("kept", lambda: (folder / key).write_text("again"))

    def soon(error: Exception, failure: int) -> Retry:
        return Retry(str(error), 0.01)

    engine = DurableEngine(f"sqlite:///{folder / 'stages.db'}", "this-process")
    engine.register(Workflow.DOWNLOAD, body, queue="all", decide=soon)
    engine.register(Workflow.COMPARE, given_up, queue="all", decide=soon)
    engine.launch({"all": 2})
    engine.start(Workflow.DOWNLOAD, "a-key")
    until = time.monotonic() + 40
    while not failed and time.monotonic() < until:
        time.sleep(0.02)
    engine.start(Workflow.COMPARE, "b-key")
    looks = []
    while (engine.unfinished() or not (folder / "b-key").exists()) and time.monotonic() < until:
        looks.append(engine.recover(lambda others: set()))
        time.sleep(0.3)
    print("recovered", sum(looks), "first look", looks[0], "left", len(engine.unfinished()), flush=True)
    engine.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
