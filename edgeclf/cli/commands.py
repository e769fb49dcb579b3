"""How a command is made: its own options, the global ones, its examples, and one place where errors end."""

from __future__ import annotations

import functools
import inspect
import sys
import typing
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from edgeclf.cli.session import Outcome, Session, run

_PANEL = "Every command"


def _show_version(wanted: bool) -> None:
    if wanted:
        from edgeclf import __version__

        print(f"edgeclf {__version__}")
        raise typer.Exit(0)


Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.", rich_help_panel=_PANEL)]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.", rich_help_panel=_PANEL)]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Let the libraries' own log lines through.", rich_help_panel=_PANEL)
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


def register(
    app: typer.Typer,
    name: str,
    function: Callable[..., Outcome],
    *,
    examples: Sequence[str],
    interrupted: str = "interrupted; nothing half-written is left behind",
) -> None:
    """Add `function(session, ...)` to `app` as the command `name`, with the global options after its own."""
    hints = typing.get_type_hints(function, include_extras=True)
    own = [p.replace(annotation=hints[p.name]) for p in inspect.signature(function).parameters.values()][1:]

    def command(**values: Any) -> None:
        context: typer.Context = values.pop("context")
        given = {key: values.pop(_PREFIX + key) or (context.obj or {}).get(key, False) for key in GLOBAL_OPTIONS}
        given.pop("version")
        run(Session(**given, stderr=sys.stderr), lambda session: function(session, **values), interrupted)

    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        inspect.Parameter("context", keyword, annotation=typer.Context),
        *(p.replace(kind=keyword) for p in own),
        *(inspect.Parameter(_PREFIX + k, keyword, default=False, annotation=a) for k, a in GLOBAL_OPTIONS.items()),
    ]
    functools.update_wrapper(command, function)
    del command.__wrapped__  # type: ignore[attr-defined]  # typer must see the parameters below, not the function's own
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    shown = "\n\n".join(["Examples:", *(f"  {line}" for line in examples)]).replace("[", "\\[")
    app.command(name, epilog=shown, no_args_is_help=False)(command)
