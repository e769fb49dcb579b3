"""Options made from tables: types and defaults come from the function or dataclass that takes the values."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edgeclf.cli.commands import Command
from edgeclf.cli.main import COMMANDS
from edgeclf.cli.options import UNSET, Option, Table, make_plan
from edgeclf.cli.session import Outcome, Session
from edgeclf.cli.values import parse_bytes, parse_counts, show_bytes, show_counts
from edgeclf.errors import InputError

if TYPE_CHECKING:
    from edgeclf.dataset import Dataset


@dataclass(frozen=True)
class Part:
    rate: float = 0.25
    side: int | None = None

    def __post_init__(self) -> None:
        if self.rate > 1:
            raise InputError(f"rate must be at most 1, got {self.rate:g}")


@dataclass(frozen=True)
class Plan:
    name: str
    part: Part = field(default_factory=Part)
    counts: tuple[int, ...] = (1, 2)
    visible: bool = True
    out: str | Path | None = None


def compute(
    files: str | Path | Sequence[str | Path], *, level: int = 7, data: str | Path | Dataset | None = None
) -> None:
    """A function whose parameters take values."""


TABLES = (
    Table(
        lambda: compute,
        (
            Option("files", "Files.", metavar="FILE", argument=True),
            Option("level", "Level."),
            Option("data", "Data.", type=str),
        ),
    ),
    Table(
        lambda: Plan,
        (
            Option("name", "Its name."),
            Option("rate", "Rate.", field="part.rate"),
            Option("side", "Side.", field="part.side", default=UNSET, minimum=2),
            Option("counts", "Counts.", parse=parse_counts, show=show_counts),
            Option("hide", "Hide.", type=bool, field="visible", parse=lambda h, option: not h, show=lambda v: not v),
            Option("out", "Output.", envvar="TABLE_OUT"),
        ),
    ),
)


def run(*arguments: str) -> tuple[int, dict[str, Any]]:
    """Exit code of a command with these tables, and the values that it got."""
    got: dict[str, Any] = {}

    def work(session: Session, values: dict[str, Any]) -> Outcome:
        """Do nothing."""
        got.update(values)
        return Outcome(None, lambda console: None)

    command = Command(work, TABLES, examples=("work a",)).build()
    return command.main(list(arguments), prog_name="work", standalone_mode=False), got


def test_defaults_are_those_of_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TABLE_OUT", raising=False)
    code, got = run("a", "b", "--name", "n")
    assert code == 0
    assert got == {
        "files": ["a", "b"],
        "level": 7,
        "data": None,
        "name": "n",
        "part.rate": 0.25,
        "counts": (1, 2),
        "visible": True,
        "out": None,
    }
    names = {field.name for field in dataclasses.fields(Plan)}
    assert make_plan(Plan, {name: got[name] for name in got if name in names or name == "part.rate"}) == Plan("n")


def test_words_become_values_of_the_plans_types(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TABLE_OUT", "from the environment")
    words = ["a", "--name", "n", "--rate", "1", "--side", "3", "--counts", "4,5", "--hide", "--level", "9"]
    _, got = run(*words)
    assert (got["part.rate"], got["part.side"], got["counts"], got["visible"], got["level"]) == (
        1.0,
        3,
        (4, 5),
        False,
        9,
    )
    assert got["out"] == "from the environment"
    assert type(got["part.rate"]) is float


def test_a_parser_names_its_option(capsys: pytest.CaptureFixture[str]) -> None:
    code, got = run("a", "--name", "n", "--counts", "0")
    assert (code, got) == (2, {})
    assert capsys.readouterr().err.startswith("edgeclf: --counts takes positive whole numbers")


def test_help_shows_the_plans_defaults_and_leaves_out_what_is_unset(capsys: pytest.CaptureFixture[str]) -> None:
    run("--help")
    text = capsys.readouterr().out
    assert "[default: 0.25]" in text
    assert "[default: 1,2]" in text
    assert "[default: 7]" in text
    assert "x>=2" in text
    assert text.count("[default:") == 3


def test_a_plan_is_made_by_path_and_keeps_its_defaults_and_checks() -> None:
    assert make_plan(Plan, {"name": "n", "part.side": 3}) == Plan("n", Part(side=3))
    with pytest.raises(InputError, match="rate must be at most 1, got 2"):
        make_plan(Plan, {"name": "n", "part.rate": 2.0})


def test_an_option_whose_field_has_no_simple_type_needs_a_parser() -> None:
    table = Table(lambda: Plan, (Option("part", "A part."),))
    with pytest.raises(TypeError, match="--part needs a type or a parser"):
        table.parameters()


def test_an_option_without_a_field_is_refused() -> None:
    with pytest.raises(KeyError, match="missing"):
        Table(lambda: compute, (Option("missing", "Nothing."),)).parameters()


@pytest.mark.parametrize(("size", "text"), [(500_000_000, "500MB"), (2_000_000_000, "2GB"), (1500, "1500"), (1, "1")])
def test_sizes_are_shown_as_they_are_read(size: int, text: str) -> None:
    assert show_bytes(size) == text
    assert parse_bytes(text, "--size") == size


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_takes_only_what_its_plans_have(name: str) -> None:
    options = [option for table in COMMANDS[name].tables for option in table.options]
    assert len({option.name for option in options}) == len(options)
    assert all(option.help for option in options)
    for table in COMMANDS[name].tables:
        assert len(table.parameters()) == len(table.options)
