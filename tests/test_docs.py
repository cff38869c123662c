"""The documentation names only what exists, and all that must be documented."""

import importlib
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from typer.core import TyperGroup
from typer.main import get_command

from callreel.cli.main import app
from callreel.ops.diagnosis import ABSENT
from callreel.ops.health import Health
from callreel.ops.metrics import LiveGauges, Metrics
from callreel.runtime.counters import Counters
from callreel.settings import Settings, env_names
from callreel.settings.carrier import MEDIA_PATH
from callreel.settings.load import NOT_SETTINGS
from callreel.simulator.faults import FAULTS
from callreel.store.files.data_folder import check_writable
from callreel.web.pages.wording import CARRIER_ERRORS
from tests.support.fault_promises import PROMISES, WITHOUT_CONVERSATION
from tests.support.installation import temporary_installation

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src/callreel"
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])

LINK = re.compile(r'(?:\]\(|src(?:set)?=")([^)"\s]+)[)"]')
HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)
MODULE = re.compile(r"`([\w/]+\.py)(?::([\w.]+))?`")
VARIABLE = re.compile(r"\b(?:CALLREEL|TWILIO|OPENAI)_[A-Z_]+[A-Z]\b")
ROUTE = re.compile(r'@(routes|router)\.(get|post|head|websocket)\("([^"]+)"')
REASON = re.compile(r'Reason\(\s*"(\w+)"')


@cache
def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def docs(name: str) -> str:
    return text(ROOT / "docs" / name)


def anchors(page: Path) -> set[str]:
    """The fragments of a page's headings, as GitHub makes them."""
    headings = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in HEADING.findall(text(page)))
    return {heading.strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_have_existing_targets(page: Path) -> None:
    for link in LINK.findall(text(page)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, fragment = unquote(link).partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.is_relative_to(ROOT) and target.exists(), link
        assert not fragment or fragment in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_named_modules_exist(page: Path) -> None:
    for path, name in MODULE.findall(text(page)):
        places = [place for place in (SOURCE / path, ROOT / path) if place.is_file()]
        assert places or "/" not in path, path
        if name:
            found: object = importlib.import_module(f"callreel.{path.removesuffix('.py').replace('/', '.')}")
            for part in name.split("."):
                found = getattr(found, part)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_named_variables_are_settings(page: Path) -> None:
    known = {name for field in Settings.model_fields for name in env_names(field)} | NOT_SETTINGS
    for variable in set(VARIABLE.findall(text(page))):
        assert variable in known or variable.startswith("CALLREEL_TEST_"), variable


def commands(group: TyperGroup, name: str) -> Iterator[str]:
    """All that can be run: commands, and groups that also run without a subcommand."""
    for sub, command in group.commands.items():
        in_full = f"{name} {sub}"
        if isinstance(command, TyperGroup):
            yield from commands(command, in_full)
        if not isinstance(command, TyperGroup) or command.invoke_without_command:
            yield in_full


def test_every_command_is_documented() -> None:
    root = get_command(app)
    assert isinstance(root, TyperGroup)
    found = list(commands(root, "callreel"))
    assert {"callreel demo", "callreel doctor", "callreel doctor twiml"} <= set(found)
    for command in found:
        assert f"`{command}`" in docs("command-line.md"), command


def routes() -> Iterator[str]:
    yield MEDIA_PATH
    for module in sorted((SOURCE / "web").rglob("*.py")):
        for router, _, path in ROUTE.findall(text(module)):
            in_full = router == "routes" or path.startswith("/twilio/")
            yield path if in_full else f"/twilio{path}"


def test_every_route_states_its_access() -> None:
    found = set(routes())
    assert {"/twilio/voice", "/twilio/recording-status", "/health", "/calls/{call_id}"} <= found
    for route in found:
        assert re.search(rf" {re.escape(route)}`", docs("security.md")), route


def test_the_carriers_routes_are_in_the_account_guide() -> None:
    for route in set(routes()):
        assert not route.startswith("/twilio/") or f" {route}`" in docs("real-account.md"), route


def rows(page: str) -> dict[str, str]:
    """Rows of tables by the name in backticks in their first cell."""
    return {match[1]: match[0] for match in re.finditer(r"^\| `([\w.-]+)`.*$", page, re.MULTILINE)}


def test_every_error_code_that_people_see_has_an_entry() -> None:
    phone = (ROOT / "ui/src/softphone/errors.ts").read_text(encoding="utf-8")
    codes = set(re.findall(r"^  (\d{5}): ", phone, re.MULTILINE))
    assert {"31205", "53405"} <= codes
    codes |= {*CARRIER_ERRORS, *map(str, ABSENT)}
    first_cells = re.findall(r"^\| ([^|]*) \|", docs("troubleshooting.md"), re.MULTILINE)
    named = [code for cell in first_cells for code in re.findall(r"`(\d{5})`", cell)]
    assert codes <= set(named), codes - set(named)
    assert len(named) == len(set(named)), "a code has two entries"


def test_every_fault_has_its_row() -> None:
    assert set(FAULTS) <= set(rows(docs("reliability.md")))


@pytest.mark.parametrize("name", PROMISES)
def test_fault_table_states_the_tested_promises(name: str) -> None:
    assert name not in WITHOUT_CONVERSATION
    promise, cells = PROMISES[name], rows(docs("reliability.md"))[name].split("|")
    verdict, layer = cells[4], cells[5]
    assert set(re.findall(r"`(\w+)`", verdict)) == {promise.verdict, *promise.codes}
    assert ("exact" in layer) is promise.exact


def test_every_reason_is_in_the_glossary() -> None:
    codes = set(REASON.findall(text(SOURCE / "domain/verdict.py")))
    assert "frames_lost" in codes
    for code in codes:
        assert f"`{code}`" in docs("glossary.md"), code


def test_every_dependency_has_its_row() -> None:
    project = tomllib.loads(text(ROOT / "pyproject.toml"))["project"]
    extras = project["optional-dependencies"].values()
    lines = [*project["dependencies"], *(line for extra in extras for line in extra)]
    named = {re.split(r"[^\w.-]", line)[0] for line in lines}
    assert "numpy" in named
    used = docs("dependencies.md").partition("## Alternatives not chosen")[0]
    assert named == set(rows(used))


def installed_by(name: str) -> dict[str, set[str]]:
    """The distributions that `pip install NAME` brings, itself included, each with the extras that are asked of it."""
    found: dict[str, set[str]] = {}
    wanted: list[tuple[str, set[str]]] = [(name, set())]
    while wanted:
        name, extras = wanted.pop()
        key = canonicalize_name(name)
        if key not in found or not extras <= found[key]:
            found.setdefault(key, set()).update(extras)
            for line in map(Requirement, metadata.requires(name) or ()):
                if not line.marker or any(line.marker.evaluate({"extra": extra}) for extra in (*extras, "")):
                    wanted.append((line.name, line.extras))
    return found


def test_installed_size_is_the_documented_one_and_within_its_bound() -> None:
    files = [f for name in installed_by("callreel") for f in metadata.files(name) or () if f.suffix != ".pyc"]
    megabytes = sum(f.size or 0 for f in files) / 1e6
    stated = re.search(r"`pip install callreel` installs (\d+) MB", docs("dependencies.md"))
    assert stated and abs(int(stated[1]) - megabytes) < 10, f"{megabytes:.0f} MB are installed"
    assert megabytes < 720, "make demo promises a .venv of at most 750 MiB; 30 MiB of it are compiled modules"


def test_every_test_named_in_the_fault_tables_exists() -> None:
    named = set(re.findall(r"`(?:tests/[\w/]+/)?(test_\w+)(?:\.py)?[`\[(]", docs("reliability.md")))
    files = [path for path in (ROOT / "tests").rglob("test_*.py")]
    there = {path.stem for path in files}
    for path in files:
        there |= set(re.findall(r"^(?:async )?def (test_\w+)", text(path), re.M))
    assert len(named) > 30 and named <= there, named - there


METRIC = re.compile(r"\bcallreel_[a-z][a-z_]*[a-z]\b")


def alerts() -> Iterator[set[str]]:
    """The metrics of each row of the table of alerts."""
    table = docs("operations.md").split("## Metrics and alerts")[1].split("\n## ")[0]
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("| `callreel_") and cells[2].strip("| "):
            yield set(METRIC.findall(cells[0]))


def test_every_alert_has_an_entry_with_what_to_do() -> None:
    fires = docs("operations.md").split("## When an alert fires")[1].split("\n## ")[0]
    entries = [
        set(METRIC.findall(line.split(" | ")[0]))
        for line in fires.splitlines()
        if line.startswith("| `callreel_")
    ]
    found = list(alerts())
    assert {"callreel_health"} in found and len(found) > 10
    for names in found:
        assert any(names & entry for entry in entries), f"no entry for {sorted(names)}"
    assert set().union(*entries) <= set().union(*found), "an entry without an alert"


def test_documented_metrics_are_the_exported_ones() -> None:
    with temporary_installation() as installation:
        clock = installation.clock
        check_writable(installation.blobs.root)
        live = LiveGauges(calls=0, finals_waiting=0, lag_ms=0, partials_shed=0)
        metrics = Metrics(
            installation.database, installation.blobs, Counters(), Health(clock, {}), clock, lambda: live
        )
        known = {
            f"{family.name}_total" if family.type == "counter" else family.name
            for family in metrics.collect()
        }
    named = {name for page in PAGES for name in METRIC.findall(text(page))}
    assert named == known


PATH_STEP = re.compile(r"^\| \d+ \| `([\w/]+\.py):[\w.]+`", re.MULTILINE)


@pytest.mark.parametrize("heading", ["The path of a frame", "The path of a recording callback"])
def test_paths_are_short_enough_to_read(heading: str) -> None:
    section = docs("architecture.md").split(f"## {heading}\n")[1].split("\n## ")[0]
    files = PATH_STEP.findall(section)
    assert 15 <= len(files) <= 25 and len(set(files)) <= 19, files
