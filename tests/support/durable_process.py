"""A process that runs one durable workflow, for `test_durable`: `begin` dies in the middle of it, `recover` finishes it.

Usage: python -m tests.support.durable_process begin|soon|late|recover FOLDER [DATABASE_URL]
`soon` and `late` close in the middle of a step, which ends while closing waits for it, or when the library is gone.
Each step writes a line when it begins and one when it is done.
"""

import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from callreel.cluster.failure_detector import new_name
from callreel.domain.work import Workflow
from callreel.postcall import durable as durable_module
from callreel.postcall.durable import DurableEngine, StepFailedError, Steps
from tests.support.fake_engine import retry_policy


def main(mode: str, folder: Path, database_url: str | None = None) -> None:
    log = folder / "steps.log"
    begun, may_end = threading.Event(), threading.Event()

    def step(name: str) -> Callable[[], int]:
        def work() -> int:
            with log.open("a") as file:
                file.write(f"begin {name}\n")
            if mode == "begin" and name == "two":
                os._exit(9)  # like a kill, without any cleanup
            if mode in ("soon", "late") and name == "two":
                begun.set()
                may_end.wait(30)
            with log.open("a") as file:
                file.write(f"done {name}\n")
            return len(name)

        return work

    def body(steps: Steps, key: str) -> None:
        try:
            total = sum(steps.run(name, step(name)) for name in ("one", "two", "three"))
        except StepFailedError:
            steps.run("parked", lambda: (folder / "parked").write_text(key))
            raise
        steps.run("sum", lambda: (folder / "sum").write_text(f"{key} {total}"))

    durable = DurableEngine(database_url or f"sqlite:///{folder / 'stages.db'}", new_name())
    durable.register(Workflow.DOWNLOAD, body, queue="all", decide=retry_policy())
    durable.launch({"all": 2})
    if mode in ("soon", "late"):
        logging.basicConfig(level=logging.INFO)
        durable.start(Workflow.DOWNLOAD, "a-key")
        begun.wait(30)
        if mode == "soon":
            threading.Timer(0.3, may_end.set).start()
        else:
            vars(durable_module)["SHUT_DOWN_S"] = 0.2
        durable.close()
        may_end.set()
        until = time.monotonic() + 30
        while durable._running_here and time.monotonic() < until:
            time.sleep(0.02)
        print("runs", len(durable._running_here), flush=True)
        return
    if mode == "begin":
        durable.start(Workflow.DOWNLOAD, "a-key")
    else:
        print("before", len(durable.unfinished()), flush=True)
        print("alive", durable.recover(lambda others: set()), flush=True)
        print("recovered", durable.recover(lambda others: others), flush=True)
    until = time.monotonic() + 20
    while durable.unfinished() and time.monotonic() < until:
        time.sleep(0.02)
    print("left", len(durable.unfinished()), flush=True)
    durable.close()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
