"""Prints the figures of a benchmark."""

import json
from dataclasses import asdict
from typing import Any


def show(report: Any, *, as_json: bool) -> None:
    """Print the fields of the dataclass instance `report`: one line each, or as JSON."""
    figures = asdict(report)
    if as_json:
        print(json.dumps(figures, indent=2))
    else:
        for name, value in figures.items():
            print(f"{name:20} {value}")
