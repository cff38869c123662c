"""`callreel serve` and `callreel work`: the server, and additional workers for the stages after a call."""

from typing import Annotated

import typer

from callreel.cli.command import configure, require_free
from callreel.domain.errors import SettingsError


def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on.", show_default="CALLREEL_HOST or 127.0.0.1")
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="Port to listen on.", show_default="CALLREEL_PORT or 8000")
    ] = None,
    demo: Annotated[
        bool, typer.Option("--demo", help="Demo mode: no sign-in is required; loopback only.")
    ] = False,
    media_workers: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Number of separate processes for the media sockets.",
            show_default="CALLREEL_MEDIA_WORKERS or 0",
        ),
    ] = None,
    sign_in: Annotated[
        bool, typer.Option("--sign-in", help="With --demo: require sign-in, to try the roles.")
    ] = False,
    no_work: Annotated[
        bool,
        typer.Option("--no-work", help="Leave the stages after calls to `callreel work` on other machines."),
    ] = False,
) -> None:
    """Run the server: carrier webhooks, media streams, pages, and the stages after a call.

    Examples:

    - behind a tunnel: `CALLREEL_PUBLIC_URL=https://calls.example.com callreel serve`

    - on all addresses: `callreel serve --host 0.0.0.0 --port 8080`

    - many calls, 8 cores: `callreel serve --media-workers 6`
    """
    settings = configure(
        {
            "host": host,
            "port": port,
            "media_workers": media_workers,
            "work_queues": "none" if no_work else None,
        },
        quiet=False,
    )
    from callreel.runtime.loopback import is_loopback

    if demo and not is_loopback(settings.host):
        raise SettingsError(
            f"demo mode listens on loopback only, not on {settings.host}; omit --demo or --host"
        )
    require_free(settings.host, settings.port)
    from callreel.app.server import serve

    serve(settings, demo=demo, demo_sign_in=sign_in)


def work(
    queues: Annotated[
        str | None,
        typer.Option(
            help="Queues and their concurrency: download, transcribe, compare.",
            show_default="CALLREEL_WORK_QUEUES or download=8,transcribe=1,compare=4",
        ),
    ] = None,
) -> None:
    """Run additional workers for the stages after a call, on the server's machine or, with PostgreSQL, on another.

    A single machine needs none: `callreel serve` runs these stages as well.

    Examples:

    - all queues: `callreel work`

    - a machine with a GPU: `callreel work --queues transcribe=2`

    - the other queues, elsewhere: `callreel work --queues download,compare`
    """
    settings = configure({"work_queues": queues}, quiet=False)
    if not settings.work_queues:
        raise SettingsError("no queue is selected; name queues, as --queues download,transcribe,compare")
    from callreel.app.worker import work

    work(settings)
