"""Reads the values in a pickle without running anything from it.

Pickles are programs. Here, the instructions are decoded by `pickletools` of the standard library, which runs none, and
those that a list of tensors needs are interpreted: numbers, texts, tuples, lists, dicts, and calls, which are kept as
values (`Call`) and never made. No class is looked up and no module imported. Everything else is refused.

Source of the instructions: `pickletools` in the standard library.
"""

from __future__ import annotations

import io
import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edgeclf.errors import ModelError
from edgeclf.printable import printable

MOST_INSTRUCTIONS = 200_000
"""EfficientNet-Lite0 has 11,000."""


@dataclass(frozen=True)
class Name:
    """A function or class that the pickle names, as `module name`."""

    text: str


@dataclass(frozen=True)
class Call:
    """A call that the pickle asks for, not made."""

    function: Name
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class Reference:
    """A value that is stored elsewhere in the file (a persistent identity)."""

    identity: Any


class _Mark:
    pass


class PickleReader:
    """Interprets the instructions of one pickle.

    Args:
        file: name, for messages.
        names: functions and classes that may be named, as `module name`.
    """

    def __init__(self, file: str, names: frozenset[str]) -> None:
        self._file = file
        self._names = names
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def read(self, stream: io.BytesIO) -> Any:
        """Read the value at the position of `stream`, which is behind it afterwards.

        Raises:
            ModelError: there is no pickle, it is cut, or it asks for something that tensors do not need.
        """
        self._stack, self._memo = [], {}
        try:
            for count, (instruction, argument, _) in enumerate(pickletools.genops(stream)):
                if count > MOST_INSTRUCTIONS:
                    raise self._refuse(f"has more than {MOST_INSTRUCTIONS:,} instructions")
                if instruction.name == "STOP":
                    break
                self._run(instruction.name, argument)
            (value,) = self._stack
        except ModelError:
            raise
        except (ValueError, IndexError, KeyError, TypeError, OverflowError) as error:
            raise self._refuse("is damaged: it holds no complete pickle") from error
        if isinstance(value, _Mark):
            raise self._refuse("is damaged: it holds no complete pickle")
        return value

    def _run(self, name: str, argument: Any) -> None:
        stack = self._stack
        if name in _CONSTANTS:
            stack.append(_CONSTANTS[name]())
        elif name in _NUMBERS_AND_TEXTS:
            stack.append(argument)
        elif name in ("BINPUT", "LONG_BINPUT"):
            self._memo[argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(self._memo[argument])
        elif name == "GLOBAL":
            if argument not in self._names:
                raise self._refuse(f"names {printable(str(argument))[:80]!r}, which no list of tensors needs")
            stack.append(Name(argument))
        elif name in _OPERATIONS:
            _OPERATIONS[name](self)
        elif name != "PROTO":
            raise self._refuse(f"has the instruction {name}, which no list of tensors needs")

    def _pop_to_mark(self) -> list[Any]:
        for place in range(len(self._stack) - 1, -1, -1):
            if isinstance(self._stack[place], _Mark):
                found = self._stack[place + 1 :]
                del self._stack[place:]
                return found
        raise IndexError("no mark")

    def _pop(self, count: int) -> tuple[Any, ...]:
        found = tuple(self._stack[len(self._stack) - count :])
        if len(found) != count or any(isinstance(value, _Mark) for value in found):
            raise IndexError("stack is too short")
        del self._stack[len(self._stack) - count :]
        return found

    def _make_tuple(self) -> None:
        self._stack.append(tuple(self._pop_to_mark()))

    def _extend_list(self) -> None:
        values = self._pop_to_mark()
        self._last(list).extend(values)

    def _set_items(self) -> None:
        values = self._pop_to_mark()
        if len(values) % 2:
            raise ValueError("a key without a value")
        target = self._last(dict)
        for key, value in zip(values[::2], values[1::2], strict=True):
            target[_check_key(key)] = value

    def _set_item(self) -> None:
        key, value = self._pop(2)
        self._last(dict)[_check_key(key)] = value

    def _last(self, kind: type) -> Any:
        if type(self._stack[-1]) is not kind:
            raise TypeError(f"no {kind.__name__}")
        return self._stack[-1]

    def _call(self) -> None:
        function, arguments = self._pop(2)
        if not isinstance(function, Name) or not isinstance(arguments, tuple):
            raise TypeError("no call")
        # The one call that is made: an ordered dict without content is a dict.
        empty = function.text == "collections OrderedDict" and not arguments
        self._stack.append({} if empty else Call(function, arguments))

    def _set_attributes(self) -> None:
        """Drop attributes of an ordered dict: PyTorch keeps versions of layers there."""
        self._pop(1)
        self._last(dict)

    def _refer(self) -> None:
        (identity,) = self._pop(1)
        self._stack.append(Reference(identity))

    def _refuse(self, reason: str) -> ModelError:
        return ModelError(f"{self._file} {reason}")


def _check_key(key: object) -> str | int:
    """Return a key of a dict: texts and numbers only, since deeply nested tuples overflow the stack when hashed."""
    if not isinstance(key, (str, int)):
        raise TypeError("no key")
    return key


_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "MARK": _Mark,
}
_NUMBERS_AND_TEXTS = ("BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE")
_OPERATIONS: dict[str, Callable[[PickleReader], None]] = {
    "TUPLE": PickleReader._make_tuple,
    "TUPLE1": lambda reader: reader._stack.append(reader._pop(1)),
    "TUPLE2": lambda reader: reader._stack.append(reader._pop(2)),
    "TUPLE3": lambda reader: reader._stack.append(reader._pop(3)),
    "APPENDS": PickleReader._extend_list,
    "SETITEM": PickleReader._set_item,
    "SETITEMS": PickleReader._set_items,
    "REDUCE": PickleReader._call,
    "BUILD": PickleReader._set_attributes,
    "BINPERSID": PickleReader._refer,
}
