"""Values from requests: text and numbers that a database cannot store are refused before they reach a use case.

`store/db/types.py` would strip or saturate them; a client should learn that its value was wrong.
"""

from typing import Annotated, Any

from fastapi import Path
from pydantic import AfterValidator, BaseModel, ConfigDict, model_validator

from callreel.store.db.types import storable_text

LARGEST_INTEGER = 2**31 - 1


def is_storable(text: str) -> bool:
    return storable_text(text) == text


def _checked(text: str) -> str:
    if not is_storable(text):
        raise ValueError("control characters and lone surrogates are not allowed")
    return text


RowId = Annotated[int, Path(ge=1, le=LARGEST_INTEGER)]
Storable = AfterValidator(_checked)
"""For form fields; bodies derive from `Body`, and the gate checks paths and query strings."""


class Body(BaseModel):
    """A JSON body: unknown fields are refused, and so is text that cannot be stored, at any depth."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _all_storable(cls, data: Any) -> Any:
        waiting = [data]
        while waiting:
            value = waiting.pop()
            if isinstance(value, str):
                _checked(value)
            elif isinstance(value, dict):
                waiting += [*value, *value.values()]
            elif isinstance(value, list):
                waiting += value
        return data
