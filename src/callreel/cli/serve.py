"""`callreel serve` and `callreel work`: the server, and more hands for the stages after a call."""

from typing import Annotated

import typer

from callreel.cli.begin import LOOPBACK, begin, require_free
from callreel.domain.errors import SettingsError


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Run")(serve)
    app.command(rich_help_panel="Run")(work)


def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on.", show_default="CALLREEL_HOST or 127.0.0.1")
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="Port to listen on.", show_default="CALLREEL_PORT or 8000")
    ] = None,
    demo: Annotated[bool, typer.Option("--demo", help="No sign-in; on this machine only.")] = False,
    media_workers: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Processes of their own for the media sockets.",
            show_default="CALLREEL_MEDIA_WORKERS or 0",
        ),
    ] = None,
    sign_in: Annotated[
        bool, typer.Option("--sign-in", help="With --demo: people sign in all the same, to try roles.")
    ] = False,
    no_work: Annotated[
        bool,
        typer.Option("--no-work", help="Leave the stages after calls to callreel work on other machines."),
    ] = False,
) -> None:
    """Run the server: carrier webhooks, media streams, pages, and the stages after a call.

    Examples:

    - behind a tunnel: `CALLREEL_PUBLIC_URL=https://calls.example.com callreel serve`

    - on all addresses: `callreel serve --host 0.0.0.0 --port 8080`

    - many calls, 8 cores: `callreel serve --media-workers 6`
    """
    settings = begin(
        {
            "host": host,
            "port": port,
            "media_workers": media_workers,
            "work_queues": "none" if no_work else None,
        }
    )
    if demo and settings.host not in LOOPBACK:
        raise SettingsError(
            f"demo mode listens on 127.0.0.1 only, not on {settings.host}; leave --demo or --host out"
        )
    require_free(settings.host, settings.port)
    from callreel.app.server import serve

    serve(settings, demo=demo, demo_sign_in=sign_in)


def work(
    queues: Annotated[
        str | None,
        typer.Option(
            help="What to work on, and how many at once: fetch, transcribe, judge.",
            show_default="CALLREEL_WORK_QUEUES or fetch=8,transcribe=1,judge=4",
        ),
    ] = None,
) -> None:
    """Run more workers for the stages after a call, beside a server: on this machine, or on another with PostgreSQL.

    One machine needs none: `callreel serve` does that work too, unless it is told not to.

    Examples:

    - everything: `callreel work`

    - a machine with a graphics card: `callreel work --queues transcribe=2`

    - the rest, elsewhere: `callreel work --queues fetch,judge`
    """
    settings = begin({"work_queues": queues})
    if not settings.work_queues:
        raise SettingsError("there is nothing to work on; name queues as --queues fetch,transcribe,judge")
    from callreel.app.worker import work

    work(settings)
