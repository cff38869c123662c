"""The program `callreel`: its commands, one error line for every failure, and the exit codes.

0: success. 1: completed with a negative result (an unverified call, a failed check). 2: failed. 130: Ctrl-C. Commands
import heavy modules inside their functions, so that `callreel --help` responds at once.
"""

import os
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer
from typer.exceptions import TyperException

from callreel import __version__
from callreel.cli import account, demo, mcp, serve, simulate, user
from callreel.cli.diagnose import doctor, engines, evaluate, models, settings
from callreel.cli.keep import (
    analyse,
    archive,
    audit,
    backup,
    check,
    erase,
    importing,
    keys,
    measure,
    reconcile,
    redact,
    report,
    retention,
    transcribe,
)
from callreel.domain.errors import CallreelError
from callreel.runtime.private_process import keep_private
from callreel.runtime.typed_command import as_typed

STOPPED = 130

app = typer.Typer(
    name="callreel",
    help=(
        "Records phone calls in three layers, transcribes them live and verifies the recordings, on your own machines."
        "\n\nFirst steps: `callreel demo` runs one complete call without an account;"
        " `callreel serve` runs the server; `callreel doctor` diagnoses the installation."
    ),
    epilog="Settings: environment (CALLREEL_…, TWILIO_…) or callreel.toml; `callreel settings` lists them.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_PANELS: dict[str, tuple[Callable[..., Any] | typer.Typer, ...]] = {
    "Try": (demo.demo, simulate.simulate),
    "Run": (serve.serve, serve.work, account.app, user.app, mcp.mcp),
    "Keep": (
        check.check,
        transcribe.transcribe,
        importing.app,
        backup.backup,
        backup.restore,
        archive.archive,
        archive.unarchive,
        erase.erase,
        erase.hold,
        erase.release,
        measure.measure,
        redact.redact,
        analyse.analyse,
        retention.retention,
        retention.subject,
        report.report,
        reconcile.reconcile,
        keys.app,
        audit.app,
    ),
    "Diagnose": (doctor.app, settings.settings, engines.engines, models.app, evaluate.evaluate),
}
for panel, members in _PANELS.items():
    for member in members:
        if isinstance(member, typer.Typer):
            app.add_typer(member, rich_help_panel=panel)
        else:
            app.command(rich_help_panel=panel)(member)


def _print_version(requested: bool) -> None:
    if requested:
        typer.echo(f"callreel {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    keep_private()


def main(args: Sequence[str] | None = None) -> int:
    """Run one command with `args` (default: the process's own) and return the exit code.

    A failure prints one line; the traceback is shown only with CALLREEL_DEBUG=1.
    """
    try:
        code = app(args, prog_name="callreel", standalone_mode=False)
        sys.stdout.flush()
        # Typer returns 130 for Ctrl-C within a command, without a message.
        if code == STOPPED:
            return _fail("stopped", code)
        return code if isinstance(code, int) else 0
    except BrokenPipeError:
        # The reader of our output closed the pipe. Python would report that again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (CallreelError, TyperException) as error:
        if os.environ.get("CALLREEL_DEBUG") == "1":
            raise
        return _fail(_usage_error(error) if isinstance(error, TyperException) else str(error), 2)
    except (KeyboardInterrupt, typer.Abort):
        return _fail("stopped", STOPPED)


def _usage_error(error: TyperException) -> str:
    """The error with the command whose help explains it."""
    context = getattr(error, "ctx", None)
    message = error.format_message().rstrip(".")
    return f"{message}; see `{context.command_path} --help`" if context is not None else message


def _fail(message: str, code: int) -> int:
    line = " ".join(message.split())
    print(f"callreel: {as_typed(line)}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
