"""A server on a machine whose disk fills up or fails, or whose clock is stepped, while it runs (`bad_machine.c`)."""

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_suffix(".c")


class BadMachine:
    """Without faults until one is set. `environment` is for the processes that get the faults."""

    def __init__(self, folder: Path, data_dir: Path) -> None:
        """`folder`: for the compiled library. `data_dir`: the disk that can fail."""
        compiler = shutil.which("cc")
        if compiler is None:
            pytest.skip("no C compiler (cc) here to build the failing disk with")
        folder.mkdir(parents=True, exist_ok=True)
        library, self._state = folder / "bad_machine.so", folder / "bad_machine"
        subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", library, SOURCE, "-ldl"], check=True)
        self._errno = self._clock_s = 0
        self._write_state()
        self.environment = {
            "LD_PRELOAD": str(library),
            "BAD_MACHINE": str(self._state),
            "BAD_FOLDER": str(data_dir),
        }

    def disk(self, error: int) -> None:
        """Let every write to the disk fail with this errno from now on; 0 ends the fault."""
        self._errno = error
        self._write_state()

    def clock(self, seconds: int) -> None:
        """Shift the wall clock by so many seconds."""
        self._clock_s = seconds
        self._write_state()

    def _write_state(self) -> None:
        with self._state.open("r+b" if self._state.exists() else "wb") as file:
            file.write(struct.pack("=ii", self._errno, self._clock_s))
