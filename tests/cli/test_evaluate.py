import json
import re
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from callreel.cli.diagnose import figures
from callreel.cli.diagnose.differences import page
from callreel.domain.call import Role
from callreel.domain.errors import SettingsError
from callreel.evaluation.evaluate import Evaluated
from callreel.evaluation.material import read_material
from callreel.evaluation.scores import Segmentation, word_errors
from callreel.settings import load_settings
from callreel.settings.engines import engine_by_spec
from tests.support.program import callreel, the_line
from tests.support.two_channel_call import write_call

CALLS = Path(__file__).parents[3] / "shared" / "audio" / "calls" / "manifest.tsv"


def test_oracle_engine_has_no_word_errors(tmp_path: Path) -> None:
    if not CALLS.is_file():
        pytest.skip(f"needs the test recordings of {CALLS.parent}")
    report = tmp_path / "words.html"
    run = callreel(
        "evaluate", str(CALLS), "--engine", "oracle", "--limit", "1", "--json", "--report", str(report),
        folder=tmp_path,
    )  # fmt: skip
    document = json.loads(run.stdout)
    assert (document["engine"], document["recordings"]) == ("oracle", 1)
    assert (document["wer_live"], document["streaming_gap"], document["finals_lost"]) == (0, 0, 0)
    assert list(document["kinds"]) == ["composed call"]
    assert not re.search("<(del|ins)>(?!missing|added)", report.read_text())


def test_missing_manifest_is_reported_in_one_line(tmp_path: Path) -> None:
    assert "absent.tsv cannot be read" in the_line(callreel("evaluate", "absent.tsv", folder=tmp_path))


def test_missing_engine_is_reported_in_one_line(tmp_path: Path) -> None:
    manifest = write_call(tmp_path)
    run = callreel("evaluate", str(manifest), "--engine", "dragon", folder=tmp_path)
    assert "expected an engine out of faster-whisper" in the_line(run)


def test_an_engine_is_chosen_with_its_options() -> None:
    settings = load_settings({})
    choice = engine_by_spec(settings, "faster-whisper,model=small")
    assert (choice.name, choice.options["model"]) == ("faster-whisper", "small")
    with pytest.raises(SettingsError, match="NAME,OPTION=VALUE, got 'wide'"):
        engine_by_spec(settings, "faster-whisper,wide")


def test_report_marks_differences_and_escapes_text(tmp_path: Path) -> None:
    (recorded,) = read_material(write_call(tmp_path))
    hypotheses = {
        Role.AGENT: "is the bump at full pressure <b> now please shut the valve",
        Role.TECHNICIAN: "",
    }
    said = "is the pump at full pressure now please shut the valve"
    errors = word_errors(said, hypotheses[Role.AGENT])
    result = Evaluated(recorded, 16, errors, errors, hypotheses, hypotheses, Segmentation())
    made = page([("dragon & co", [result])])
    assert "<del>pump</del> <ins>bump</ins>" in made
    assert "<del>no it has leaked since monday done</del>" in made
    assert "dragon &amp; co" in made and "<b>" not in made


def test_table_has_a_row_for_each_kind_and_for_all(tmp_path: Path) -> None:
    (recorded,) = read_material(write_call(tmp_path))
    errors = word_errors("is the pump at full pressure now", "is the bump at full pressure")
    result = Evaluated(recorded, 16, errors, errors, {}, {}, Segmentation())
    console = Console(width=200, record=True, file=StringIO())
    figures.show([("dragon", {"made call": [result]})], console)
    rows = [line for line in console.export_text().splitlines() if "dragon" in line]
    assert [row.split("│")[2].strip() for row in rows] == ["made call", "all"]
    assert all(row.split("│")[4].strip() == "28.6" for row in rows)
