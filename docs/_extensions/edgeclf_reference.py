"""Sphinx extension: writes the reference out of the command line and the docstrings while the pages are read.

A page holds a comment such as `<!-- edgeclf: commands -->`, a line for those who read it unbuilt, and `<!-- end -->`;
Markdown comes in their place. What it is made of is what `edgeclf --help` and `import edgeclf` show, so that it cannot
say anything else. Short tables stand in the page itself, and are compared.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import re
import textwrap
import typing
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from docutils import nodes

import edgeclf
from edgeclf.cli.main import COMMANDS, app
from edgeclf.measure.conditions import ENDS, QUANTITIES

_MARK = re.compile(r"^<!-- edgeclf: ([a-z ]+) -->\n((?:.+\n)+)<!-- end -->$", re.MULTILINE)
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~$])")
_CODE = re.compile(r"`([^`]+)`|((?<![\w-])--[a-z][a-z0-9-]*)")
_ARGUMENTS, _OWN, _EVERY = "Arguments", "Options", "Every command"


def escape(text: str) -> str:
    """Escape what Markdown would take for markup; what stands between backticks, and options, becomes code."""
    parts, end = [], 0
    for found in _CODE.finditer(text):
        code = (found[1] or found[2]).replace("|", r"\|")
        parts += [_SPECIAL.sub(r"\\\1", text[end : found.start()]), f"`{code}`"]
        end = found.end()
    return "".join([*parts, _SPECIAL.sub(r"\\\1", text[end:])])


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Write a Markdown table."""
    names = list(head)
    lines = [names, ["---"] * len(names), *map(list, rows)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


# The command line


def describe_commands() -> str:
    """Describe every command: its help, arguments, options by panel, settings and examples."""
    import typer

    group = typer.main.get_command(app)
    assert set(COMMANDS) == set(group.commands)  # type: ignore[attr-defined]  # no command stands beside the table
    return "\n\n".join(_describe_command(name) for name in COMMANDS)


def _describe_command(name: str) -> str:
    command = COMMANDS[name].build()
    context = command.make_context(f"edgeclf {name}", [], resilient_parsing=True)
    usage = " ".join(command.get_usage(context).split()).removeprefix("Usage: ")
    parts = [f"## {name}", escape(command.help), f"```text\n{usage}\n```", f":::{{program}} edgeclf {name}\n:::"]
    panels: dict[str, list[Any]] = {}
    for parameter in command.get_params(context):
        panels.setdefault(_panel(parameter), []).append(parameter)
    records = [each.get_help_record(context) for each in panels.pop(_ARGUMENTS, [])]
    if records:
        parts.append(table(("argument", "what"), ((f"`{word}`", escape(text)) for word, text in records)))
    panels.pop(_EVERY)
    for panel, parameters in panels.items():
        also = " (and [those of every command](#every-command))" if panel == _OWN else ""
        parts.append(f"**{escape(panel)}**{also}")
        parts += [_describe_option(parameter, context) for parameter in parameters]
    if COMMANDS[name].settings is not None:
        parts.append(_describe_settings(name))
    examples = "\n".join(COMMANDS[name].examples)
    return "\n\n".join([*parts, f"**Examples**\n\n```text\n{examples}\n```"])


def _panel(parameter: Any) -> str:
    """Return under which heading the help shows a parameter."""
    if parameter.param_type_name == "argument":
        return _ARGUMENTS
    return _EVERY if parameter.name == "help" else parameter.rich_help_panel or _OWN


def _describe_option(parameter: Any, context: Any) -> str:
    typed, text = parameter.get_help_record(context)
    names = ", ".join(part.strip() for part in re.split(r" / ", typed))
    return f":::{{option}} {names}\n{escape(text)}\n:::"


def describe_global_options() -> str:
    """Describe the options that every command has."""
    command = next(iter(COMMANDS.values())).build()
    context = command.make_context("edgeclf", [], resilient_parsing=True)
    rows = [one.get_help_record(context) for one in command.get_params(context) if _panel(one) == _EVERY]
    return table(("option", "what"), ((f"`{typed}`", escape(text)) for typed, text in rows))


def _describe_settings(name: str) -> str:
    settings = COMMANDS[name].settings
    assert settings is not None
    record = settings()
    meanings = _setting_meanings(name, record)
    refused = _list_refused(name)
    keys: dict[tuple[str, str], list[str]] = {}
    for field in dataclasses.fields(record):
        if field.init and field.name not in refused:
            default, meaning = meanings[field.name]
            if not meaning:
                raise ValueError(f"the docstring that explains the setting {field.name} of {name} does not name it")
            keys.setdefault((str(default), meaning), []).append(f"`{field.name}`")
    rows = ((" ".join(names), f"`{default}`", escape(meaning)) for (default, meaning), names in keys.items())
    return f"**Settings** (`--set KEY=VALUE`)\n\n{table(('key', 'default', 'meaning'), rows)}"


def _list_refused(name: str) -> tuple[str, ...]:
    """List the fields of a command's record that it refuses."""
    if name != "pretrain":
        return ()
    from edgeclf.training.pretraining.config import NEED_LABELS

    return NEED_LABELS


def _setting_meanings(name: str, record: type) -> dict[str, tuple[Any, str]]:
    """Return default and meaning of each setting, by key."""
    if name != "compress":
        return dict(_fields(record))
    from edgeclf.compression.exporter import EXPORTERS
    from edgeclf.compression.step import STEPS

    found: dict[str, tuple[Any, str]] = {}
    for kind, part in {**STEPS, **EXPORTERS}.items():
        for key, value in _fields(part):
            found.setdefault(key, value)
            found[f"{kind}_{key}"] = value
    return found


def _fields(record: type) -> Iterator[tuple[str, tuple[Any, str]]]:
    """List the fields of a dataclass with default and meaning, those of dataclasses inside it too."""
    meanings, hints = describe_fields(record), typing.get_type_hints(record)
    for field in dataclasses.fields(record):
        if dataclasses.is_dataclass(hints[field.name]):
            yield from _fields(typing.cast(type, hints[field.name]))
        default = None if field.default is dataclasses.MISSING else field.default
        yield field.name, (default, meanings.get(field.name, ""))


def describe_fields(record: type) -> dict[str, str]:
    """Return by field of a dataclass what its docstring says of it, or that of the class which the field is from."""
    found = describe_fields(record.__base__) if dataclasses.is_dataclass(record.__base__) else {}
    for block in re.findall(r"^(?:Args|Attributes):\n((?:^(?: .*)?\n?)+)", inspect.getdoc(record) or "", re.MULTILINE):
        for entry in re.split(r"^(?=\S)", textwrap.dedent(block), flags=re.MULTILINE):
            names, _, text = entry.partition(":")
            for each in names.split(","):
                found[each.strip()] = " ".join(text.split())
    return found


# Tables of what is registered


def list_quantities() -> str:
    """List what a condition of `bench --fail-if` may be about."""
    rows = []
    for name, one in QUANTITIES.items():
        ends = " ".join(f"`.{end}`" for end in ENDS) if one.has_ends else ""
        needs = "a baseline" if one.needs_baseline else "labelled images" if one.needs_data else ""
        rows.append((f"`{name}`", escape(one.meaning), one.kind, ends, needs))
    return table(("quantity", "meaning", "in", "ends", "needs"), rows)


def list_boards() -> str:
    """List the budgets of `train --for`."""
    from edgeclf.training.budget.limits import BOARDS

    return table(("board", "budget"), ((f"`{name}`", escape(limits.text)) for name, limits in BOARDS.items()))


# Python


def describe_public_names() -> str:
    """Write directives for every public name, then for the reports that the functions return."""
    names = [name for name in edgeclf.__all__ if not name.startswith("_") and name != "errors"]
    parts = ["## Functions and classes"]
    parts += [_directive(f"edgeclf.{name}", getattr(edgeclf, name)) for name in names]
    parts.append("## Reports\n\nWhat the functions return; `to_dict()` gives the document that `--json` prints.")
    parts += [_directive(path, _load(path)) for path in dict.fromkeys(_report_paths(names))]
    tree = (inspect.getdoc(edgeclf.errors) or "").partition("\n\n")[2]
    parts.append(f"## Errors\n\nAll stand in `edgeclf.errors`.\n\n```text\n{tree.partition(chr(10) * 2)[0]}\n```")
    return "\n\n".join(parts)


def _load(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def _directive(path: str, value: object) -> str:
    kind = "autoclass" if inspect.isclass(value) else "autofunction"
    members = "\n   :members:" if path == "edgeclf.Classifier" else ""
    return f"```{{eval-rst}}\n.. {kind}:: {path}{members}\n```"


def _report_paths(names: Iterable[str]) -> Iterator[str]:
    """List the classes that the public functions return, by the names that their modules import for annotations."""
    for name in names:
        function = inspect.unwrap(getattr(edgeclf, name))
        returned = getattr(function, "__annotations__", {}).get("return")
        if not inspect.isfunction(function) or not isinstance(returned, str):
            continue
        tree = ast.parse(Path(inspect.getsourcefile(function) or "").read_text(encoding="utf-8"))
        imports = {
            each.name: node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for each in node.names
        }
        yield f"{imports[returned]}.{returned}"


_EXAMPLE = re.compile(r"(?:\A|(?<=\n))(\S[^\n]*\n\n)((?:    [^\n]*\n)+)(?=\n|\Z)")


def mark_examples(app: Any, what: str, name: str, value: object, options: object, lines: list[str]) -> None:
    """Turn the indented examples of a docstring, which are code, into code blocks."""
    text = "\n".join(lines) + "\n"
    lines[:] = _EXAMPLE.sub(lambda found: f"{found[1]}.. code-block:: python\n\n{found[2]}", text).splitlines()


def set_dashes(app: Any, page: Any, name: str) -> None:
    """Set the hyphens that stand behind the name of a parameter as a dash; elsewhere they may begin an option."""
    for text in list(page.findall(nodes.Text)):
        if text.startswith(" -- "):
            text.parent.replace(text, nodes.Text(f" – {text[4:]}"))


PARTS: dict[str, Callable[[], str]] = {
    "commands": describe_commands,
    "global options": describe_global_options,
    "quantities": list_quantities,
    "boards": list_boards,
    "public names": describe_public_names,
}


STANDS_IN_PAGE = ("quantities", "boards")


def fill_in(app: Any, name: str, source: list[str]) -> None:
    """Put what a page asks for in the place of its comments; an unknown name, or another table there, is an error."""

    def make(found: re.Match[str]) -> str:
        made = PARTS[found[1]]()
        if found[1] in STANDS_IN_PAGE and found[2].rstrip("\n") != made:
            raise ValueError(f"{name}: the table of {found[1]} is not what the code has, which is\n{made}")
        return made

    source[0] = _MARK.sub(make, source[0])
    if "<!-- edgeclf:" in source[0]:
        raise ValueError(f"{name}: a comment that is to be filled in has no line below it, or no <!-- end -->")


def setup(app: Any) -> dict[str, bool]:
    """Register the extension."""
    app.connect("source-read", fill_in)
    app.connect("doctree-resolved", set_dashes)
    app.connect("autodoc-process-docstring", mark_examples, priority=100)
    return {"parallel_read_safe": True}
