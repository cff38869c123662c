"""The documentation as a site: built without warnings, each page in its navigation, nothing lost, nothing from other hosts."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from scripts.docs_site import BESIDE, rewritten

ROOT = Path(__file__).parents[1]
SOURCES = {page.removesuffix(".md"): name for name, page in BESIDE.items()} | {
    path.stem: f"docs/{path.name}" for path in ROOT.glob("docs/*.md")
}
"""The Markdown file of each page of the site."""
PARTS = {
    "tables": (("table_open",), r"<table"),
    "rows": (("tr_open",), r"<tr"),
    "list items": (("list_item_open",), r"<li\b"),
    "code blocks": (("fence", "code_block"), r"<pre"),
    "headings": (("heading_open",), r"<h[1-6]"),
}
LOADED = re.compile(
    r"<(?:script|link|img|source|iframe|video)\b[^>]*?\b(?:src|srcset|href)=[\"']?(\w+:|//)[^>]*>"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("material", reason="mkdocs-material is missing: install the extra docs")
    folder = tmp_path_factory.mktemp("site")
    run = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0 and "WARNING" not in run.stderr, run.stderr
    return folder


def test_every_document_is_a_page_with_all_its_parts(site: Path) -> None:
    """CommonMark, as the repository shows it, and the site's Markdown differ in lists and tables without an empty line."""
    reader = MarkdownIt("commonmark").enable("table")
    built = {path.stem for path in site.glob("*.html")} - {"404"}
    assert built == set(SOURCES)
    for page, source in SOURCES.items():
        tokens = [token.type for token in reader.parse((ROOT / source).read_text(encoding="utf-8"))]
        html = (site / f"{page}.html").read_text(encoding="utf-8")
        article = html.split("<article", 1)[1].split("</article>")[0]
        for part, (kinds, tag) in PARTS.items():
            there = len(re.findall(tag, article))
            assert there == sum(tokens.count(kind) for kind in kinds), f"{part} of {source}"


def test_pages_load_nothing_from_other_hosts(site: Path) -> None:
    for path in site.glob("*.html"):
        html = path.read_text(encoding="utf-8")
        assert [tag[0] for tag in LOADED.finditer(html) if 'rel="canonical"' not in tag[0]] == []
        assert 'class="mermaid"' not in html, "the theme would load that library from another host"


def test_pictures_exist_where_pages_name_them(site: Path) -> None:
    named = {
        (path.parent / name).resolve()
        for path in site.glob("*.html")
        if path.name != "404.html"  # its addresses are those of a server's root
        for name in re.findall(r'(?:src|srcset)="([^":?]+)"', path.read_text(encoding="utf-8"))
    }
    assert {"call-light.png", "call-dark.png"} <= {path.name for path in named}
    assert [path for path in named if not path.is_file()] == []


def test_links_that_leave_the_folder_lead_to_pages_or_are_text() -> None:
    text = "[a](../SECURITY.md) [b](api.md#search) [c](../tests/x.py) [d](https://example.com)"
    assert (
        rewritten(text, "docs/x.md")
        == "[a](vulnerabilities.md) [b](api.md#search) c [d](https://example.com)"
    )
    assert rewritten('[a](docs/api.md#search) src="docs/images/a.png"', "README.md") == (
        '[a](api.md#search) src="images/a.png"'
    )
