"""Sees that the pages' built files are those of `ui/`, before a demo shows them.

They come with the source and in the wheel, so as a rule there is nothing to do. Where `ui/` was changed they are built
anew with npm; without it this says what to do, and the pages stay those of before. The digest is counted as
`ui/vite.config.js` counts it.
"""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
UI = ROOT / "ui"
BUILT = ROOT / "src/callreel/web/static/built"
INPUTS = ("package.json", "package-lock.json", "vite.config.js", "tsconfig.json", "src")


def sources_digest() -> str:
    """SHA-256 over the names and contents of everything that the build reads."""
    inputs = [UI / name for name in INPUTS]
    files = [path for item in inputs for path in ([item] if item.is_file() else item.rglob("*"))]
    named = {path.relative_to(UI).as_posix(): path for path in files if path.is_file()}
    digest = hashlib.sha256()
    for name in sorted(named):
        digest.update(name.encode() + b"\0" + named[name].read_bytes() + b"\0")
    return digest.hexdigest()


def is_current() -> bool:
    """Whether what was built last was built from what is there now."""
    made_of = BUILT / "sources.sha256"
    return made_of.is_file() and made_of.read_text().strip() == sources_digest()


def main() -> int:
    if is_current():
        return 0
    npm = shutil.which("npm")
    if npm is None:
        print(
            "callreel: ui/ was changed after the pages were built, and npm is not here: they stay as they were."
            " Install Node.js 20.19 or newer, then: make ui",
            file=sys.stderr,
        )
        return 0
    print("callreel: ui/ was changed; building the pages", flush=True)
    for command in (("ci", "--no-audit", "--no-fund", "--loglevel=error"), ("run", "--silent", "build")):
        done = subprocess.run([npm, *command], cwd=UI, check=False)
        if done.returncode:
            print(
                "callreel: the pages could not be built, see above; they stay as they were", file=sys.stderr
            )
            return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
