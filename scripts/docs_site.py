"""MkDocs hooks: README.md and the other documents beside docs/ are pages of the site as well, README.md the first one.

Links that leave docs/ lead to those pages; links to source files, which the site does not have, become plain text.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
BESIDE = {
    "README.md": "index.md",
    "CHANGELOG.md": "changes.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "vulnerabilities.md",
}
"""Documents of the repository's root, and their pages."""
_SOURCES = {page: document for document, page in BESIDE.items()}
_LINK = re.compile(r"\[(?P<text>[^\[\]]*)\]\((?P<target>[^()\s:#]+)(?P<fragment>#[^()\s]*)?\)")
_IMAGE = re.compile(r'(?<=src="|set=")docs/')


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the documents beside docs/."""
    for document, page in BESIDE.items():
        files.append(File.generated(config, page, content=(ROOT / document).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrite the links of one page."""
    source = _SOURCES.get(page.file.src_uri, f"docs/{page.file.src_uri}")
    return rewritten(markdown, source)


def rewritten(markdown: str, source: str) -> str:
    """The text of `source`, a path in the repository, with links that are valid on the site."""

    def link(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), match["target"]))
        place = BESIDE.get(target, target.removeprefix("docs/") if target.startswith("docs/") else None)
        return f"[{match['text']}]({place}{match['fragment'] or ''})" if place else match["text"]

    return _IMAGE.sub("", _LINK.sub(link, markdown))
