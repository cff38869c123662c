"""What all of the stand-in's REST routes share: errors, forms, callbacks in forms, and pages of lists."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Depends, Request

from callreel.simulator.calls.twiml_script import Callback
from callreel.simulator.rest.resources import page_json

NOT_AUTHENTICATED = 20003
NOT_FOUND = 20404
BAD_REQUEST = 20001
NOT_IN_PROGRESS = 21220
_PAGE_SIZE = 50
_MAX_PAGE_SIZE = 1000


class RestError(Exception):
    """An answer of the API that is an error."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def not_found(what: str) -> RestError:
    return RestError(404, NOT_FOUND, f"The requested resource {what} was not found")


async def _form(request: Request) -> dict[str, str]:
    form = await request.form()
    return {name: value for name, value in form.items() if isinstance(value, str)}


Form = Annotated[dict[str, str], Depends(_form)]


def page_of(request: Request, key: str, items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    query = request.query_params
    size = _number(query.get("PageSize"), _PAGE_SIZE)
    filters = "&".join(
        part
        for part in request.url.query.split("&")
        if part and part.split("=")[0] not in ("Page", "PageSize")
    )
    return page_json(
        key,
        items,
        path=request.url.path,
        page=_number(query.get("Page"), 0),
        page_size=min(max(size, 1), _MAX_PAGE_SIZE),
        query=filters,
    )


def _number(text: str | None, default: int) -> int:
    return int(text) if text is not None and text.isdecimal() and len(text) < 9 else default


def callback_of(form: dict[str, str], name: str, events: str) -> Callback | None:
    """The callback that a form asks for under `name`, with its method and events."""
    url = form.get(name)
    if url is None:
        return None
    subscribed = form.get(f"{name}Event", events)
    return Callback(url, form.get(f"{name}Method", "POST"), tuple(subscribed.split()))
