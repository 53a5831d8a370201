"""The Typer app, and the boundary that turns every outcome into an exit code and one clear line.

0 done, 1 a gate failed, 2 bad usage or input, 3 missing optional dependency, 70 a bug of ours, 130 Ctrl-C, 143 SIGTERM.
"""

from __future__ import annotations

import os
import sys
import traceback
from typing import Annotated

import typer

from phone2sim import __version__
from phone2sim.cli import (
    assets,
    branch,
    build,
    check,
    demo,
    doctor,
    exam,
    export,
    generate,
    inspect,
    preview,
    recipe,
    reconstruct,
    replay,
    report,
    sample,
    sheet,
    view,
)
from phone2sim.cli.endings import INTERRUPTED, Ending, refusal, terminable
from phone2sim.cli.output import print_error
from phone2sim.errors import Phone2SimError

BUG = 70

app = typer.Typer(
    name="phone2sim",
    help="A phone clip of a table becomes a metric, physical, photoreal scene, and varied robot episodes.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (
    demo, inspect, build, reconstruct, assets, check, export, preview, recipe, generate, replay, branch, exam, report, view,
    doctor, sample, sheet,
):  # fmt: skip
    name = module.__name__.rsplit(".", 1)[1]
    app.command(name)(getattr(module, name))


def _version(value: bool) -> None:
    if value:
        print(f"phone2sim {__version__}")
        raise typer.Exit()


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """A phone clip of a table becomes a metric, physical, photoreal scene, and varied robot episodes."""


def main(argv: list[str] | None = None) -> int:
    """Run the command line on `argv` (default: the process's) and return the exit code."""
    os.environ.setdefault("GLOG_minloglevel", "2")  # pycolmap's log, below errors
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
    with terminable() as ending:
        return _run(argv, ending)


def _run(argv: list[str] | None, ending: Ending) -> int:
    try:
        code = typer.main.get_command(app)(args=argv, prog_name="phone2sim", standalone_mode=False)
        if code == INTERRUPTED:  # the parser catches the interrupt itself
            raise KeyboardInterrupt
        return code if isinstance(code, int) else 0
    except Phone2SimError as e:
        return _say(e.message, e.hint, e.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        print_error(f"{ending.text}; everything committed so far is kept.", "Run the same command again to go on.")
        return ending.code
    except typer.Exit as e:
        return e.exit_code
    except BrokenPipeError:  # the reader of our stdout left (`| head`)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except Exception as e:
        if hasattr(e, "format_message"):  # a usage error of the parser
            if text := e.format_message().replace("Value error, ", ""):
                context = getattr(e, "ctx", None)
                command = context.command_path if context is not None else "phone2sim"
                print_error(text if text[-1] in ".?" else f"{text}.", f"See: {command} --help")
            return 2
        if isinstance(e, OSError) and (said := refusal(e)):
            return _say(*said, code=2)
        return _say(f"{type(e).__name__}: {e}", "This is a bug in phone2sim; PHONE2SIM_DEBUG=1 shows where.", BUG)


def _say(message: str, hint: str, code: int) -> int:
    print_error(message, hint)
    if os.environ.get("PHONE2SIM_DEBUG") == "1":
        traceback.print_exc(file=sys.stderr)
    return code
