"""A server on a machine whose disk fills up or fails, or whose clock is stepped, while it runs (`bad_machine.c`)."""

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_suffix(".c")


class BadMachine:
    """Well until it is told otherwise. `environment` is for the processes that are to suffer."""

    def __init__(self, folder: Path, data_dir: Path) -> None:
        """`folder`: for what is built here. `data_dir`: the disk that can fail."""
        compiler = shutil.which("cc")
        if compiler is None:
            pytest.skip("no C compiler (cc) here to build the failing disk with")
        folder.mkdir(parents=True, exist_ok=True)
        library, self._state = folder / "bad_machine.so", folder / "bad_machine"
        subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", library, SOURCE, "-ldl"], check=True)
        self._errno = self._clock_s = 0
        self._tell()
        self.environment = {
            "LD_PRELOAD": str(library),
            "BAD_MACHINE": str(self._state),
            "BAD_FOLDER": str(data_dir),
        }

    def disk(self, error: int) -> None:
        """From now on every write to the disk fails with this errno; 0 mends it."""
        self._errno = error
        self._tell()

    def clock(self, seconds: int) -> None:
        """The wall clock is so far from the truth."""
        self._clock_s = seconds
        self._tell()

    def _tell(self) -> None:
        with self._state.open("r+b" if self._state.exists() else "wb") as file:
            file.write(struct.pack("=ii", self._errno, self._clock_s))
