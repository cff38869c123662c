"""Recall on spoken calls: what the default engine wrote of synthetic calls, saved by `benchmarks.redaction --save`."""

import json
from collections import Counter
from pathlib import Path

from benchmarks.redaction import found, loaded
from benchmarks.spoken_calls import Said

CALLS = [loaded(call) for call in json.loads((Path(__file__).parent / "spoken.json").read_text())]
LEAST = {"card_number": 0.98, "phone": 0.9, "email": 0.9, "security_code": 0.85}


def test_recall_on_spoken_calls() -> None:
    total, right = Counter[str](), Counter[str]()
    for said, turns in CALLS:
        for one in said:
            assert isinstance(one, Said)
            total[one.entity.value] += 1
            right[one.entity.value] += found(one, turns)
    assert min(total.values()) >= 20
    missed = {
        kind: f"{right[kind]} of {total[kind]}" for kind in LEAST if right[kind] < LEAST[kind] * total[kind]
    }
    assert not missed
