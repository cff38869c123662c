"""`callreel mcp`: the calls of a server for programs with a language model, by the Model Context Protocol over stdio."""

import os
from typing import Annotated

import typer

from callreel.domain.errors import SettingsError

TOKEN = "CALLREEL_API_TOKEN"


def mcp(
    server: Annotated[
        str, typer.Option("--server", help="Address of the Callreel server.")
    ] = "http://127.0.0.1:8000",
) -> None:
    """Serve four read-only tools on standard input and output: list, search, transcript, notes.

    The API token in the environment variable CALLREEL_API_TOKEN decides which calls are visible; it needs the scope
    calls:read only. Programs such as an assistant start this command themselves. Needs the extra: pip install
    'callreel\\[mcp]'.

    Example: `CALLREEL_API_TOKEN=crt_… callreel mcp --server https://calls.example`
    """
    token = os.environ.get(TOKEN, "").strip()
    if not token:
        raise SettingsError(
            f"set {TOKEN} to an API token with the scope calls:read; create one under My account"
        )
    if not server.startswith(("http://", "https://")):
        raise SettingsError("--server: expected an address such as https://calls.example")
    try:
        import mcp as _sdk  # noqa: F401
    except ImportError:
        raise SettingsError("callreel mcp needs the extra: pip install 'callreel[mcp]'") from None
    from callreel.mcp.server import CallApi, mcp_server

    mcp_server(CallApi(server, token)).run()
