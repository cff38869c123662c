"""The program `callreel`: its commands, and how every failure becomes one line and an exit code.

0: done. 1: done, and the answer is no (a call that was not verified, a failed check). 2: could not be done. 130: Ctrl-C.
Heavy modules are imported inside the commands, so that `callreel --help` answers at once.
"""

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from typer.exceptions import TyperException

from callreel import __version__
from callreel.cli import (
    archive,
    backup,
    check,
    demo,
    doctor,
    engines,
    erase,
    evaluate,
    models,
    reconcile,
    serve,
    settings,
    simulate,
    transcribe,
    user,
)
from callreel.domain.errors import CallreelError

STOPPED = 130

app = typer.Typer(
    name="callreel",
    help=(
        "Records a team's phone calls in three layers, transcribes them live and verifies them, on its own machines."
        "\n\nFirst steps: `callreel demo` runs one whole call with no account;"
        " `callreel serve` runs the real thing; `callreel doctor` says what is missing."
    ),
    epilog="Settings: environment (CALLREEL_…, TWILIO_…) or callreel.toml; `callreel settings` lists them.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for group in (
    demo,
    serve,
    simulate,
    doctor,
    engines,
    evaluate,
    models,
    check,
    transcribe,
    backup,
    archive,
    erase,
    reconcile,
    settings,
    user,
):
    group.register(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"callreel {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    pass


def main(args: Sequence[str] | None = None) -> int:
    """Run one command with `args` (default: the process's own); answers the exit code. Never shows a traceback,
    unless CALLREEL_DEBUG=1."""
    try:
        code = app(args, prog_name="callreel", standalone_mode=False)
        sys.stdout.flush()
        # Typer answers 130 for Ctrl-C within a command, without a word.
        if code == STOPPED:
            return _fail("stopped", code)
        return code if isinstance(code, int) else 0
    except BrokenPipeError:
        # Whoever read our output has gone. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (CallreelError, TyperException) as error:
        if os.environ.get("CALLREEL_DEBUG") == "1":
            raise
        return _fail(_words(error) if isinstance(error, TyperException) else str(error), 2)
    except (KeyboardInterrupt, typer.Abort):
        return _fail("stopped", STOPPED)


def _words(error: TyperException) -> str:
    """What was typed wrong, and where it says how."""
    context = getattr(error, "ctx", None)
    said = error.format_message().rstrip(".")
    return f"{said}; see `{context.command_path} --help`" if context is not None else said


def _fail(message: str, code: int) -> int:
    line = " ".join(message.split())
    print(f"callreel: {line}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
