"""Running the program as a person does, apart from this process and from the settings of this shell."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from callreel.settings import Settings, env_names


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This shell's environment without any setting of ours, with `extra`."""
    ours = {name for field in Settings.model_fields for name in env_names(field)} | {
        "CALLREEL_CONFIG",
        "CALLREEL_DEBUG",
    }
    plain = {name: value for name, value in os.environ.items() if name not in ours}
    return {**plain, "COLUMNS": "200", **(extra or {})}


def callreel(
    *arguments: str,
    folder: Path,
    extra: Mapping[str, str] | None = None,
    stdin: str = "",
    timeout_s: float = 60,
) -> subprocess.CompletedProcess[str]:
    """One run in `folder`, to its end."""
    return subprocess.run(
        [sys.executable, "-m", "callreel.cli.main", *arguments],
        cwd=folder,
        env=environment(extra),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )


def the_line(run: subprocess.CompletedProcess[str]) -> str:
    """The one line on standard error with which a run failed."""
    assert run.returncode == 2, run.stderr
    assert run.stderr.startswith("callreel: ")
    assert run.stderr.count("\n") == 1, run.stderr
    return run.stderr.removeprefix("callreel: ").rstrip("\n")
