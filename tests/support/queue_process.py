"""A process that works on named queues, for `test_queues`, until its standard input closes.

Usage: python -m tests.support.queue_process DATABASE_URL NAME QUEUE=N[,QUEUE=N]
It queues nothing itself, and the library counts no running work in it, which it does late on a busy machine. Each piece of work says `begin KEY` and `end KEY` and lasts until its file FOLDER/KEY is there.
"""

import sys
import time
from pathlib import Path

from dbos._core import ActiveWorkflowById

from callreel.domain.work import Workflow
from callreel.postcall.durable import DurableEngine, Steps
from tests.support.fake_engine import retry_policy


def main(database_url: str, folder: Path, name: str, queues: str) -> None:
    def say(line: str) -> None:
        sys.stdout.write(
            f"{line}\n"
        )  # at once: print() would write the end of the line later, after another thread's line
        sys.stdout.flush()

    def body(steps: Steps, key: str) -> None:
        def work() -> None:
            say(f"begin {key}")
            while not (folder / key).exists():
                time.sleep(0.02)

        steps.run("work", work)
        say(f"end {key}")
        if key.startswith("light"):
            steps.then(Workflow.TRANSCRIBE, key.replace("light", "heavy"))

    durable = DurableEngine(database_url, name)
    durable.register(Workflow.DOWNLOAD, body, queue="light", decide=retry_policy())
    durable.register(Workflow.TRANSCRIBE, body, queue="heavy", decide=retry_policy())
    ActiveWorkflowById.count_for_queue = lambda self, queue_name: 0  # type: ignore[method-assign]
    durable.launch({queue: int(n) for queue, _, n in (part.partition("=") for part in queues.split(","))})
    say("works")
    for line in sys.stdin:
        workflow, _, key = line.strip().partition(" ")
        durable.start(Workflow(workflow), key)
    durable.close()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4])
