"""Plain English: phrases and identifiers of the project's old private dialect do not come back.

The field's terms that replace them are in docs/glossary.md.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CHECKED = (
    "CONTRIBUTING.md",
    "README.md",
    "benchmarks",
    "docs",
    "scripts",
    "src/callreel",
    "tests",
    "ui/src",
    "ui/tests",
)
"""Files and folders, relative to the repository."""
NOT_PROSE = {"built", "node_modules", "__pycache__"}
WORD_LISTS = {ROOT / "src/callreel/insight" / name for name in ("common_words.py", "phrases.py")}
"""Words that callers say."""
SUFFIXES = {".py", ".md", ".ts", ".html", ".css", ".sh"}

PHRASES = re.compile(
    r"""\b(
    nobody('s)? | whoever | anew | in\ vain | once\ more | as\ it\ were
    | tells | told
    | heard | hears? | hearing
    | beg(in|ins|an|un)\ again | by\ itself | taken\ for | well\ again
    | go(es)?\ on | went\ on | st(and|ands|anding|ood)\ in
    | what\ (came|comes|went|goes) | look(s|ed|ing)?\ after
    | comes?\ home | lets?\ go | held\ against | (can|could|cannot|be)\ (not\ )?be\ had
    )\b""",
    re.IGNORECASE | re.VERBOSE,
)
IDENTIFIERS = re.compile(
    r"\b(\w*(heard|hear_|_hear(?![a-z])|told_|_told|nobody|goes_on|went_on|stood_in|whoever)\w*|asked_\w+|\w+_asked)\b"
)


def prose_files() -> Iterator[Path]:
    for name in CHECKED:
        place = ROOT / name
        for path in [place] if place.is_file() else sorted(place.rglob("*")):
            if (
                path.suffix in SUFFIXES
                and not NOT_PROSE & set(path.parts)
                and path not in {Path(__file__), *WORD_LISTS}
            ):
                yield path


@pytest.mark.parametrize("path", list(prose_files()), ids=lambda path: str(path.relative_to(ROOT)))
def test_text_uses_standard_terms(path: Path) -> None:
    found = [
        f"line {number}: {match[0]!r}"
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        for match in (PHRASES.search(line), IDENTIFIERS.search(line))
        if match
    ]
    assert not found, f"write it in plain English, see docs/glossary.md: {'; '.join(found[:20])}"
