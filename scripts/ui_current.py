"""Rebuilds the pages' script before a demo if its sources in `ui/` have changed.

The built files are part of the source tree and of the wheel, so usually nothing is to be done. Without npm this prints
what to do, and the old build stays. The digest is the same as in `ui/vite.config.js`.
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
    """SHA-256 over the names and contents of all inputs of the build."""
    inputs = [UI / name for name in INPUTS]
    files = [path for item in inputs for path in ([item] if item.is_file() else item.rglob("*"))]
    named = {path.relative_to(UI).as_posix(): path for path in files if path.is_file()}
    digest = hashlib.sha256()
    for name in sorted(named):
        digest.update(name.encode() + b"\0" + named[name].read_bytes() + b"\0")
    return digest.hexdigest()


def is_current() -> bool:
    """Whether the last build was made from the current sources."""
    recorded = BUILT / "sources.sha256"
    return recorded.is_file() and recorded.read_text().strip() == sources_digest()


def main() -> int:
    if is_current():
        return 0
    npm = shutil.which("npm")
    if npm is None:
        print(
            "callreel: ui/ has changed since its last build, but npm is not installed. The demo uses the old build."
            " Install Node.js 20.19 or newer, then run: make ui",
            file=sys.stderr,
        )
        return 0
    print("callreel: ui/ has changed; building it", flush=True)
    for command in (("ci", "--no-audit", "--no-fund", "--loglevel=error"), ("run", "--silent", "build")):
        done = subprocess.run([npm, *command], cwd=UI, check=False)
        if done.returncode:
            print("callreel: building ui/ failed, see above. The demo uses the old build.", file=sys.stderr)
            return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
