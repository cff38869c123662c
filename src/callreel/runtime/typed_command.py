"""How the program is named in texts for people: as they would type it."""

import re
import shlex
import shutil
import sys
from pathlib import Path

_NAMED = re.compile(r"(?<![\w/.-])callreel(?= (?:--)?[a-z])")
"""The program before one of its commands, in a text for people."""


def as_typed(text: str) -> str:
    """`text` with `callreel COMMAND` as the person would type it: after `.venv/bin/callreel demo`, `.venv/bin/callreel serve`.

    Plain where the `PATH` finds this program, and where another program runs its code.
    """
    return _NAMED.sub(lambda _: _program(), text)


def _program() -> str:
    started = Path(sys.argv[0])
    found = shutil.which("callreel")
    if started.name != "callreel" or not started.exists() or (found and started.samefile(found)):
        return "callreel"
    below = started.absolute().is_relative_to(Path.cwd())
    return shlex.quote(str(started.absolute().relative_to(Path.cwd()) if below else started))
