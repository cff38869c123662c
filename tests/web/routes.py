"""Every route of an application, through its included routers and mounts, so that no test needs a list by hand."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

from starlette.routing import BaseRoute, Mount, WebSocketRoute


def endpoints(of: Sequence[BaseRoute]) -> Iterator[tuple[str, str, Callable[..., Any]]]:
    """(method, path, function) of each; a socket's method is `WEBSOCKET`, a mount is its path with `/` behind."""
    for route in of:
        inner = getattr(route, "original_router", None)
        if inner is not None:
            yield from endpoints(inner.routes)
        elif isinstance(route, Mount):
            yield "GET", f"{route.path}/", cast(Callable[..., Any], route.app)
        elif isinstance(route, WebSocketRoute):
            yield "WEBSOCKET", route.path, route.endpoint
        else:
            for method in cast(Any, route).methods:
                yield method, cast(Any, route).path, cast(Any, route).endpoint
