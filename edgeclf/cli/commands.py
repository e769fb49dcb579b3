"""How a command is made: from its table of options, the global ones, its examples, and one place where errors end."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from edgeclf.cli.options import Table
from edgeclf.cli.session import Outcome, Session, run
from edgeclf.cli.training_kernels import use_training_kernels
from edgeclf.plugins import load_plugins

_PANEL = "Every command"


def _show_version(asked: bool) -> None:
    if asked:
        from edgeclf import __version__

        print(f"edgeclf {__version__}")
        raise typer.Exit(0)


Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.", rich_help_panel=_PANEL)]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.", rich_help_panel=_PANEL)]
Verbose = Annotated[
    bool,
    typer.Option(
        "--verbose",
        "-v",
        help="Let the libraries' own log lines through, and show more detail where there is more.",
        rich_help_panel=_PANEL,
    ),
]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks.", rich_help_panel=_PANEL)]
Version = Annotated[
    bool,
    typer.Option(
        "--version", help="Print the version and exit.", rich_help_panel=_PANEL, is_eager=True, callback=_show_version
    ),
]
GLOBAL_OPTIONS: dict[str, Any] = {"json": Json, "quiet": Quiet, "verbose": Verbose, "debug": Debug, "version": Version}
_PREFIX = "global_"


@dataclass(frozen=True)
class Command:
    """One command.

    Args:
        function: gets the session and the options' values by field; its name is the command's, its docstring the help.
        tables: of its options.
        examples: whole command lines.
        interrupted: what Ctrl-C prints.
        settings: imports and returns the record whose fields `--set` takes; None: the command has no `--set`.
        trains: whether it trains networks, for which TensorFlow then takes its fastest kernels.
    """

    function: Callable[[Session, dict[str, Any]], Outcome]
    tables: tuple[Table, ...]
    examples: tuple[str, ...]
    interrupted: str = "interrupted; nothing half-written is left behind"
    settings: Callable[[], type] | None = None
    trains: bool = False

    @property
    def name(self) -> str:
        """What is typed after `edgeclf`."""
        return self.function.__name__

    def add_to(self, app: typer.Typer) -> None:
        """Add name and help to `app`; the options are made by `build`, for the one command that is used."""
        app.command(self.name, help=self._help())(_no_options)

    def build(self) -> Any:
        """Make the click command with all its options, the global ones after its own."""
        if self.trains:  # before plugins are loaded for the help, which may import TensorFlow
            use_training_kernels()
        app = typer.Typer(add_completion=False, rich_markup_mode="rich")
        shown = "\n\n".join(["Examples:", *(f"  {line}" for line in self.examples)]).replace("[", "\\[")
        app.command(self.name, help=self._help(), epilog=shown)(self._typer_function())
        made: Any = typer.main.get_command(app)
        make_parameters = made.get_params
        made.get_params = lambda context: tidy_parameters(make_parameters(context))
        return made

    def _help(self) -> str:
        """Return the docstring with one line a paragraph: the terminal decides where lines end."""
        paragraphs = inspect.cleandoc(self.function.__doc__ or "").split("\n\n")
        return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)

    def _typer_function(self) -> Callable[..., None]:
        """Make a function with the signature that Typer reads."""

        def command(**typed: Any) -> None:
            context: typer.Context = typed.pop("context")
            chosen = {key: typed.pop(_PREFIX + key) or (context.obj or {}).get(key, False) for key in GLOBAL_OPTIONS}
            chosen.pop("version")
            run(Session(**chosen, stderr=sys.stderr), lambda session: self._work(session, typed), self.interrupted)

        keyword = inspect.Parameter.KEYWORD_ONLY
        parameters = [
            inspect.Parameter("context", keyword, annotation=typer.Context),
            *(parameter for table in self.tables for parameter in table.parameters()),
            *(inspect.Parameter(_PREFIX + k, keyword, default=False, annotation=a) for k, a in GLOBAL_OPTIONS.items()),
        ]
        command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return command

    def _work(self, session: Session, typed: dict[str, Any]) -> Outcome:
        load_plugins(lambda line: session.progress().warn(line))
        values: dict[str, Any] = {}
        for table in self.tables:
            values |= table.read(typed)
        return self.function(session, values)


def tidy_parameters(parameters: list[Any]) -> list[Any]:
    """Change how parameters of a click command are shown: flags as flags, arguments by their name alone.

    Typer's own way depends on its version: some write `<bool>` behind a flag, and `{MODEL} <str>` for an argument.
    """
    for parameter in parameters:
        if parameter.param_type_name == "argument":
            shown = parameter.metavar if parameter.required else f"[{parameter.metavar}]"
            usage = f"{shown}{'' if parameter.nargs == 1 else '...'}"
            parameter.display_type_rich = lambda ctx=None: None
            parameter.get_usage_pieces = lambda ctx=None, usage=usage: [usage]
        elif getattr(parameter, "is_flag", False) and parameter.metavar is None:
            parameter.metavar = ""
    return parameters


def _no_options() -> None:
    """Stand for a command in the list of commands."""
