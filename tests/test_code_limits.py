"""Limits that keep the code readable: length and parameters of functions, length of modules, words of the field."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "edgeclf"
MODULES = sorted(PACKAGE.rglob("*.py"))
LINES_OF_A_FUNCTION, PARAMETERS, LINES_OF_A_MODULE = 60, 8, 300
KEYWORD_FUNCTIONS = PACKAGE / "api"
"""Its functions take keywords, a line each, and build one plan of them: their signatures are not counted."""

PRIVATE_WORDS = (
    r"told|tells|answers?|the desk|at birth|he|his|him|Lessons|taught|flatfile|holder|oddity|sort_out|put_beside"
)
"""Words that CONTRIBUTING's glossary replaces by the field's own."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def _functions(tree: ast.Module) -> Iterator[Function]:
    for node in ast.walk(tree):
        if isinstance(node, Function):
            yield node


def _lines(function: Function) -> int:
    """From `def` to the end, without the docstring."""
    last = function.end_lineno or function.lineno
    first = function.body[0]
    docstring = 0
    if ast.get_docstring(function) is not None:
        docstring = (first.end_lineno or first.lineno) - first.lineno + 1
    return last - function.lineno + 1 - docstring


def _signature_lines(function: Function) -> int:
    return function.body[0].lineno - function.lineno


def _parameters(function: Function) -> int:
    taken = function.args
    named = [*taken.posonlyargs, *taken.args, *taken.kwonlyargs]
    return len([parameter for parameter in named if parameter.arg not in ("self", "cls")])


def test_there_is_something_to_count() -> None:
    assert len(MODULES) > 200
    assert sum(1 for path in MODULES for _ in _functions(ast.parse(path.read_text(encoding="utf-8")))) > 1000


def test_functions_stay_short_and_take_few_parameters() -> None:
    too_long, too_many = [], []
    for path in MODULES:
        for function in _functions(ast.parse(path.read_text(encoding="utf-8"))):
            name = f"{path.relative_to(PACKAGE)}: {function.name}"
            takes_keywords = KEYWORD_FUNCTIONS in (path, path.parent)
            lines = _lines(function) - (_signature_lines(function) if takes_keywords else 0)
            if lines > LINES_OF_A_FUNCTION:
                too_long.append((name, lines))
            if _parameters(function) > PARAMETERS and not takes_keywords:
                too_many.append((name, _parameters(function)))
    assert not too_long
    assert not too_many


def test_modules_stay_short() -> None:
    lengths = {str(path.relative_to(PACKAGE)): len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert not {name: lines for name, lines in lengths.items() if lines > LINES_OF_A_MODULE}


def test_the_words_are_those_of_the_field() -> None:
    word = re.compile(rf"\b(?:{PRIVATE_WORDS})\b")
    found = [
        f"{path.relative_to(PACKAGE)}:{number}: {line.strip()}"
        for path in MODULES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if word.search(line)
    ]
    assert not found


def test_the_count_sees_what_is_too_large() -> None:
    long = "def f(self, a, b, *, c):\n" + '    """One.\n\n    Two.\n    """\n' + "    x = 1\n" * 60
    function = next(_functions(ast.parse(long)))
    assert (_lines(function), _parameters(function)) == (61, 3)
