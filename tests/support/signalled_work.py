"""A process whose durable engine looks for foreign work once in ten minutes only, for `test_durable`.

Usage: python -m tests.support.signalled_work FOLDER
Prints how often it looked for work, and how often it would have at most if it looked every POLL_S.
"""

import sys
import time
from pathlib import Path
from typing import Any

from dbos._dbos import _get_dbos_instance

from callreel.domain.errors import StoreError
from callreel.domain.work import Workflow
from callreel.postcall.durable import POLL_S, DurableEngine, Steps
from callreel.runtime.clock import Clock
from callreel.runtime.retry import Retry
from tests.support.installation import eventually_blocking


def main(folder: Path) -> None:
    ran: list[str] = []

    def first(steps: Steps, key: str) -> None:
        steps.run("work", lambda: ran.append(key))
        if key.endswith("again") and ran.count(key) == 1:
            steps.run("fail", fail)
        steps.then(Workflow.COMPARE, key)

    def fail() -> None:
        raise StoreError("the database is locked")

    def second(steps: Steps, key: str) -> None:
        steps.run("work", lambda: ran.append(f"{key} compared"))

    engine = DurableEngine(f"sqlite:///{folder / 'stages.db'}", "this-process")
    for workflow, body in ((Workflow.DOWNLOAD, first), (Workflow.COMPARE, second)):
        engine.register(workflow, body, queue="one", decide=lambda error, failure: Retry(str(error), 0.2))
    engine.launch({"one": 1}, idle_poll_s=600)
    sys_db = _get_dbos_instance()._sys_db
    take, looks = sys_db.start_queued_workflows, list[str]()

    def counted(queue: Any, *arguments: Any, **named: Any) -> Any:
        looks.append(queue.name)
        return take(queue, *arguments, **named)

    vars(sys_db)["start_queued_workflows"] = counted
    started_s = time.monotonic()
    keys = ["a", "b", "again"]
    for key in keys:
        engine.start(Workflow.DOWNLOAD, key)
    eventually_blocking(lambda: {f"{key} compared" for key in keys} <= set(ran), 40)
    eventually_blocking(lambda: not engine.unfinished(), 40)
    looked, most = looks.count("one"), (time.monotonic() - started_s) / POLL_S + 30
    print("seldom" if looked <= most else f"{looked} looks", ran.count("again"), flush=True)
    print("deleted", engine.delete_finished(Clock().now()), engine.delete_finished(Clock().now()), flush=True)
    engine.start(Workflow.COMPARE, "a")
    eventually_blocking(lambda: ran.count("a compared") == 2, 40)
    engine.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
