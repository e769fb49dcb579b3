"""The `edgeclf` command: its options, its commands, and its usage errors in one line each."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from edgeclf.aliases import ALIASES, REMARKS, find_nearest
from edgeclf.cli import (
    audit,
    bench,
    compare,
    compress,
    explain,
    inspect,
    live,
    live_collected,
    predict,
    pretrain,
    refit,
    train,
    tune,
    verify,
)
from edgeclf.cli.commands import Command, Debug, Json, Quiet, Verbose, Version, tidy_parameters
from edgeclf.cli.session import Session, fail
from edgeclf.cli.streams import run_with_streams

# ClickException: newer typers carry click inside, older ones depend on it, and neither exports this class.
_ClickException: type[Exception] = typer.BadParameter.__mro__[2]


COMMANDS: dict[str, Command] = {
    module.COMMAND.name: module.COMMAND
    for module in (
        *(audit, pretrain, train, tune, compress, refit, bench, compare),
        *(predict, explain, live, live_collected, inspect, verify),
    )
}


INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 and the number of the signal."""


class OneLineGroup(TyperGroup):
    """The commands; usage errors are one line, with the nearest known name, instead of a box of six."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Find the command that is used, and make its options: for this one only, since that takes time."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, COMMANDS[name].build() if name in COMMANDS else command, rest

    def get_params(self, ctx: Any) -> list[Any]:
        """List the options, shown as those of the commands are."""
        return tidy_parameters(super().get_params(ctx))

    def main(self, args: Sequence[str] | None = None, *rest: Any, **extra: Any) -> Any:
        """Parse and run; leave by `SystemExit` with the exit code, as click does."""
        arguments = [str(a) for a in (sys.argv[1:] if args is None else args)]
        standalone = extra.pop("standalone_mode", True)
        session = Session("--json" in arguments, False, False, "--debug" in arguments, sys.stderr)
        try:
            code = super().main(arguments, *rest, **{**extra, "standalone_mode": False})
        except _ClickException as error:
            code = fail(session, _usage(error, arguments), 2)
        except (typer.Abort, KeyboardInterrupt):
            code = fail(session, "interrupted", INTERRUPTED)
        if not standalone:
            return code
        sys.exit(code if isinstance(code, int) else 0)


_EXPECTED = {
    "Input should be a valid integer": "must be a whole number",
    "Input should be a valid number": "must be a number",
    "Input should be greater than or equal to": "must be at least",
}


def _usage(error: Any, arguments: list[str]) -> str:
    message = str(error.format_message()).rstrip(".")
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "edgeclf"
    if hasattr(error, "option_name") and hasattr(error, "possibilities"):
        known = [name for p in context.command.get_params(context) for name in p.opts] if context is not None else []
        message = f"no such option {error.option_name!r}{_suggest(error.option_name, known, path)}"
    elif message.startswith("No such command") and context is not None:
        name = message.split("'")[1]
        commands = context.command.list_commands(context)
        near = find_nearest("command", name, commands)
        hint = f"did you mean {near!r}?" if near else f"commands: {', '.join(commands)}"
        return f"no such command {name!r}; {hint}"
    for text, expected in _EXPECTED.items():
        names = getattr(getattr(error, "param", None), "opts", [])
        if text in message and names:
            bound = message.rpartition(text)[2] if text.endswith("to") else ""
            return f"{names[0]} {expected}{bound}, got {_given(arguments, names)!r} (see {path} --help)"
    return f"{message[:1].lower()}{message[1:]} (see {path} --help)"


def _suggest(option: str, known: list[str], path: str) -> str:
    """Return what an unknown option may have meant: an option, a setting of `--set`, or what there is instead."""
    command = COMMANDS.get(path.rpartition(" ")[2])
    own = [name for name in known if name.startswith("--")]
    if command is not None and command.settings is not None:
        own += [f"--set {field.name}" for field in dataclasses.fields(command.settings()) if field.init]
    plain = option.lstrip("-").lower().replace("-", "_")
    for meant in (plain, *ALIASES["option"].get(plain, ())):
        for name in own:
            setting = name.removeprefix("--set ")
            if setting.lstrip("-").replace("-", "_") == meant:
                return f"; did you mean {name if setting == name else name + '=VALUE'!r}?"
    if plain in REMARKS:
        return f"; {REMARKS[plain]}"
    # Without the dashes, which all of them share.
    words = {name.lstrip("-"): name for name in known if name.startswith("--")}
    near = difflib.get_close_matches(option.lstrip("-"), words, n=1)
    return f"; did you mean {words[near[0]]!r}?" if near else ""


def _given(arguments: list[str], names: list[str]) -> str:
    for position, argument in enumerate(arguments):
        name, separator, value = argument.partition("=")
        if name in names:
            return value if separator else next(iter(arguments[position + 1 :]), "")
    return ""


app = typer.Typer(
    name="edgeclf",
    cls=OneLineGroup,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)


@app.callback(
    invoke_without_command=True,
    epilog="Examples:\n\n  edgeclf train digits\n\n  edgeclf compress runs/digits --int8\n\n"
    "  edgeclf predict cifar10 cat.jpg",
)
def edgeclf(
    context: typer.Context,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
    version: Version = False,
) -> None:
    """From a folder of labelled photos to an int8 TFLite classifier whose numbers can be trusted."""
    context.obj = {"json": json, "quiet": quiet, "verbose": verbose, "debug": debug}
    if context.invoked_subcommand is None:
        if json:
            session = Session(True, quiet, verbose, debug, sys.stderr)
            raise typer.Exit(fail(session, f"no command is given; commands: {', '.join(COMMANDS)}", 2))
        with contextlib.redirect_stdout(sys.stderr):  # rich prints the help instead of returning it
            print(context.get_help())
        raise typer.Exit(2)


for _command in COMMANDS.values():
    _command.add_to(app)


def main() -> int:
    """Run the command line on the process's arguments; the exit code."""

    def work() -> int:
        code = typer.main.get_command(app).main(prog_name="edgeclf", standalone_mode=False)
        return code if isinstance(code, int) else 0

    return run_with_streams(work)


def run_process() -> NoReturn:
    """Run the command line as this process does, and end the process with the exit code."""
    code = main()
    # A signal changes nothing any more: all is done and said, and the interpreter, which takes up to a second to end,
    # would print a traceback and leave with another code.
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    if code == INTERRUPTED:
        # The interpreter would wait for threads that read photos, and those of TensorFlow that wait for Python would
        # abort the process while it ends: the end, now.
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
