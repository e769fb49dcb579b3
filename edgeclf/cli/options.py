"""Options of the commands, each one entry of a table; types and defaults come from the plan that takes the values."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from edgeclf.cli.values import parse_range
from edgeclf.errors import InputError

FROM_PLAN = object()
"""Default of an option: the one that its field or parameter has; it stands in the help."""
UNSET = object()
"""Default of an option: none; a value is handed on only where one was given, so that the plan's own default holds."""


@dataclass(frozen=True)
class Option:
    """One option, or argument, of a command.

    Args:
        name: `trust_model` is typed as `--trust-model`.
        help: one sentence, or a function that makes it.
        metavar: what stands for the value in the help.
        type: of the typed word, as Typer knows it; None: the plan's, or str where there is a parser.
        default: as typed, `FROM_PLAN` or `UNSET`.
        field: where the value goes in the plan, such as `smoothing.threshold`; empty: a field called `name`.
        panel: group in the help.
        parse: makes the value out of the typed word and the option's name, which its error messages carry.
        show: makes the typed word out of the plan's default; needed where the default is not its own text.
        complete: names that continue an incomplete word.
        envvar: environment variable that is read where the option is not given.
        minimum: the least number that is accepted.
        flag: what is typed where that is not `--name`.
        argument: a word without a name, by its position.
    """

    name: str
    help: str | Callable[[], str]
    metavar: str | None = None
    type: Any = None
    default: Any = FROM_PLAN
    field: str = ""
    panel: str | None = None
    parse: Callable[[Any, str], Any] | None = None
    show: Callable[[Any], Any] | None = None
    complete: Callable[..., list[str]] | None = None
    envvar: str | None = None
    minimum: int | None = None
    flag: str = ""
    argument: bool = False

    @property
    def target(self) -> str:
        """Path of the field that takes the value."""
        return self.field or self.name

    @property
    def typed(self) -> str:
        """What a user types, such as `--trust-model`."""
        return self.flag or "--" + self.name.replace("_", "-")

    def parameter(self, plan: Plan) -> inspect.Parameter:
        """Return the parameter of the function that Typer sees."""
        hint, default = self.type or (str if self.parse else None), self.default
        if hint is None or default is FROM_PLAN:
            declared, owner = _look_up(plan, self.target)
            hint = hint or _typed_as(_evaluate(declared, owner), self.typed)
            if default is FROM_PLAN:
                default = declared.default
                if self.show is not None:
                    default = self.show(default)
        if default is UNSET:
            default = None
        if default is None:
            hint = hint | None
        common: dict[str, Any] = {
            "metavar": self.metavar,
            "help": self.help if isinstance(self.help, str) else self.help(),
            "rich_help_panel": self.panel,
            "autocompletion": self.complete,
            "envvar": self.envvar,
            "min": self.minimum,
        }
        info: Any = typer.Argument(**common) if self.argument else typer.Option(self.typed, **common)
        return inspect.Parameter(
            self.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[hint, info]
        )


Plan = Callable[..., Any]
"""A function or a frozen dataclass whose parameters or fields take the options' values."""


@dataclass(frozen=True)
class Table:
    """Options whose values go to one plan.

    Args:
        plan: imports and returns it; called only when the command is used, so that a start stays quick.
        options: in the order of the help.
    """

    plan: Callable[[], Plan]
    options: tuple[Option, ...]

    def parameters(self) -> list[inspect.Parameter]:
        """Return what Typer sees of these options."""
        plan = self.plan()
        return [option.parameter(plan) for option in self.options]

    def read(self, typed: Mapping[str, Any]) -> dict[str, Any]:
        """Parse the typed words, by name, to values by field.

        Raises:
            InputError: a word cannot be parsed.
        """
        values = {}
        for option in self.options:
            value = typed[option.name]
            if value is None and option.default is UNSET:
                continue
            if option.default is UNSET and option.target in values:
                raise InputError(f"{option.typed} cannot be combined with --{option.target}: both state the same")
            values[option.target] = (
                value if option.parse is None or value is None else option.parse(value, option.typed)
            )
        return values


Record = typing.TypeVar("Record")


def make_plan(plan: type[Record], values: Mapping[str, Any]) -> Record:
    """Make a frozen dataclass from values by field; `smoothing.threshold` is a field of its field `smoothing`.

    Fields that have no value keep their defaults.

    Raises:
        InputError: the plan refuses a value.
    """
    nested: dict[str, dict[str, Any]] = {}
    own: dict[str, Any] = {}
    for path, value in values.items():
        first, separator, rest = path.partition(".")
        if separator:
            nested.setdefault(first, {})[rest] = value
        else:
            own[first] = value
    hints = typing.get_type_hints(plan)
    return plan(**own, **{name: make_plan(hints[name], inner) for name, inner in nested.items()})


def _look_up(plan: Plan, path: str) -> tuple[inspect.Parameter, Plan]:
    """Find a field of a dataclass, along a path, or a parameter of a function, and the class or function it is of."""
    for name in path.split(".")[:-1]:
        plan = typing.get_type_hints(plan)[name]
    owner = inspect.unwrap(plan)
    return inspect.signature(owner).parameters[path.rpartition(".")[2]], owner


def _evaluate(parameter: inspect.Parameter, owner: Plan) -> Any:
    """Return the type that the annotation of a parameter of `owner` names."""
    if not isinstance(parameter.annotation, str):
        return parameter.annotation
    carrier = types.SimpleNamespace(__annotations__={parameter.name: parameter.annotation})
    return typing.get_type_hints(carrier, globalns=vars(inspect.getmodule(owner)))[parameter.name]


def _typed_as(hint: Any, option: str) -> Any:
    """Return the type by which Typer reads a word for a value of the type `hint`."""
    if hint in (bool, int, float, str):
        return hint
    if hint is Path:
        return str
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        kinds = {_typed_as(a, option) for a in arguments if a is not type(None)}
        return next((kind for kind in (list[str], str) if kind in kinds), None) or kinds.pop()
    if origin in (list, Sequence):
        return list[str]
    raise TypeError(f"{option} needs a type or a parser, for a value of the type {hint}")


def complete_from(names: Callable[[], Iterable[str]]) -> Callable[[str], list[str]]:
    """Return a function that completes a word to one of `names()`."""

    def complete(incomplete: str) -> list[str]:
        return [name for name in names() if name.startswith(incomplete)]

    return complete


def list_boards() -> Iterable[str]:
    """Return the names of the boards whose budgets are known."""
    from edgeclf.training.budget.limits import BOARDS

    return BOARDS


def complete_model(context: typer.Context, arguments: list[str], incomplete: str) -> list[str]:
    """Complete to zoo names, files and folders."""
    from edgeclf.artifact.locate import list_zoo

    return [*(name for name in list_zoo() if name.startswith(incomplete)), *_files(incomplete)]


def complete_path(context: typer.Context, arguments: list[str], incomplete: str) -> list[str]:
    """Complete to files and folders."""
    return _files(incomplete)


def complete_data(context: typer.Context, arguments: list[str], incomplete: str) -> list[str]:
    """Complete to named data sets, files and folders."""
    from edgeclf.dataset.named import NAMED

    return [*(name for name in NAMED if name.startswith(incomplete)), *_files(incomplete)]


def _files(incomplete: str) -> list[str]:
    import glob
    import os

    found = sorted(glob.glob(glob.escape(incomplete) + "*"))
    return [path + "/" if os.path.isdir(path) else path for path in found]


def _runtimes() -> Iterable[str]:
    from edgeclf.inference.engine import ENGINES

    return ENGINES


def _normalizations() -> Iterable[str]:
    from edgeclf.artifact.normalization import NORMALIZATIONS

    return NORMALIZATIONS


def _parse_normalization(text: str, option: str) -> Any:
    from edgeclf.artifact.normalization import parse_normalization

    return parse_normalization(text, option)


MODEL = Option(
    "model",
    "A .tflite file, a run folder, or a zoo name.",
    metavar="MODEL",
    complete=complete_model,
    argument=True,
)
RUNTIME = Option(
    "runtime",
    "litert, tflite-runtime, tensorflow, or onnxruntime for .onnx files. Results differ between runtimes.",
    metavar="NAME",
    complete=complete_from(_runtimes),
)
TFLITE_RUNTIME = replace(RUNTIME, help="litert, tflite-runtime or tensorflow. Results differ between runtimes.")
LABELS = Option(
    "labels",
    "Class names, one a line in the order of the outputs. Default: those in the model, or labels.txt beside it.",
    metavar="FILE",
    type=str,
    complete=complete_path,
)
NORMALIZE = Option(
    "normalize",
    "How pixels enter a network from elsewhere: caffe, torch, tf (-1..1), 0..1, raw, LO..HI, or mean/std in units of "
    "pixel values, such as 123.7,116.3,103.5/58.4,57.1,57.4 (BGR: in front: blue first). "
    "Default: its metadata, or a measurement.",
    metavar="NAME|MEAN/STD",
    type=str,
    default=UNSET,
    parse=_parse_normalization,
    complete=complete_from(_normalizations),
)
INPUT_RANGE = Option(
    "input_range",
    "The same as two numbers, what pixel values 0 and 255 become: 0,1 or -1,1.",
    metavar="LO,HI",
    type=str,
    default=UNSET,
    parse=parse_range,
)
