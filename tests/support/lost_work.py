"""A process whose durable engine takes up work and loses it, for `test_durable`.

Usage: python -m tests.support.lost_work FOLDER
The first start of the body fails before the body runs, as when the database is locked between taking up and running;
one of its steps fails twice as a locked database does.
"""

import sys
import time
from pathlib import Path

import dbos._queue

from callreel.domain.errors import StoreError
from callreel.postcall.durable import Durable, Steps
from callreel.runtime import retry


def main(folder: Path) -> None:
    retry.SOON_S = (0.01, 0.01, 0.01, 0.01)
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

    durable = Durable(f"sqlite:///{folder / 'stages.db'}", "this-process")
    durable.register("working", body, queue="all")
    durable.launch({"all": 2})
    durable.start("working", "a-key")
    until = time.monotonic() + 30
    while not failed and time.monotonic() < until:
        time.sleep(0.02)
    looks = []
    while durable.unfinished() and time.monotonic() < until:
        looks.append(durable.revive())
        time.sleep(0.3)
    print("revived", sum(looks), "first look", looks[0], "left", len(durable.unfinished()), flush=True)
    durable.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
