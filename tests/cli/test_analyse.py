"""`callreel analyse` and the doctor's check as command lines, with a real server of recorded answers."""

from pathlib import Path

from callreel.store.insight import analyses
from tests.support.language_model import ABOUT_VALVE, MODEL, PATH, completion
from tests.support.program import callreel, the_line
from tests.support.rest_server import Answer, rest_server
from tests.support.seed import DONE, seed


def test_earlier_calls_are_analysed_once(tmp_path: Path) -> None:
    place = seed(tmp_path)
    settings = {
        "CALLREEL_DATA_DIR": str(tmp_path / "data"),
        "CALLREEL_DATABASE_URL": f"sqlite:///{tmp_path / 'callreel.db'}",
        "TMPDIR": str(tmp_path),
    }
    without = callreel("analyse", folder=tmp_path, extra=settings)
    assert the_line(without).startswith("CALLREEL_LANGUAGE_MODEL_URL is not set")
    with rest_server() as server:
        server.put(PATH, Answer(500), completion(ABOUT_VALVE))
        settings |= {"CALLREEL_LANGUAGE_MODEL_URL": f"{server.url}/v1", "CALLREEL_LANGUAGE_MODEL": MODEL}
        dry = callreel("analyse", "--dry-run", folder=tmp_path, extra=settings)
        assert (dry.returncode, server.seen) == (0, []) and dry.stdout.startswith(DONE)
        failed = callreel("analyse", folder=tmp_path, extra=settings)
        assert failed.returncode == 1 and "answered 500" in failed.stdout
        done = callreel("analyse", folder=tmp_path, extra=settings)
        assert done.returncode == 0 and "3 items" in done.stdout
        nothing = callreel("analyse", folder=tmp_path, extra=settings)
        assert "0 calls analysed" in nothing.stdout and len(server.seen) == 2
        with place.database.read() as conn:
            [row] = analyses.of_call(conn, DONE)
        assert (row.model, row.dropped) == (MODEL, 1), "the label is not in the team's list"
        doctor = callreel("doctor", folder=tmp_path, extra=settings).stdout
        assert f"language model {MODEL}: the language model's server answered 404" in doctor
        server.put("/v1/models", Answer(200, b'{"data": [{"id": "test-model:latest"}]}'))
        doctor = callreel("doctor", folder=tmp_path, extra=settings).stdout
        assert f"language model {MODEL}: its server answers, on this machine" in doctor
    place.database.close()
