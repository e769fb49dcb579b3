"""Which graphs of a file its operators call: branches, loops, composites. A graph must not call itself, at any depth.

The runtime follows calls by recursion, without a look at how deep they go.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgeclf.artifact.flatbuffer_reader import Table, damage_error

DEEPEST = 16
_OPTIONS, _OPTIONS_2 = 4, 12  # fields of the schema's Operator table
# operator -> (where its options are, the fields that hold the number of a graph)
_CALLS = {
    "CALL": (_OPTIONS, (0,)),
    "CALL_ONCE": (_OPTIONS, (0,)),
    "IF": (_OPTIONS, (0, 1)),
    "WHILE": (_OPTIONS, (0, 1)),
    "STABLEHLO_WHILE": (_OPTIONS_2, (0, 1)),
    "STABLEHLO_COMPOSITE": (_OPTIONS_2, (1,)),
}
_CALLS_LISTED = {"STABLEHLO_CASE": (_OPTIONS_2, 0)}


def read_calls(name: str, operator: Table, graphs: int) -> tuple[int, ...]:
    """Read the numbers of the graphs that an operator calls.

    Args:
        name: of the operator.
        operator: its table.
        graphs: how many the file has.

    Raises:
        DamagedModelError: it calls a graph that the file does not have.
    """
    called: tuple[int, ...] = ()
    if name in _CALLS:
        place, slots = _CALLS[name]
        options = operator.table(place)
        called = () if options is None else tuple(options.integer(slot, "i") for slot in slots)
    elif name in _CALLS_LISTED:
        place, slot = _CALLS_LISTED[name]
        options = operator.table(place)
        called = () if options is None else options.integers(slot)
    for number in called:
        if not 0 <= number < graphs:
            raise damage_error(f"{name} calls graph {number} and it has {graphs}")
    return called


def check_calls(calls: Sequence[frozenset[int]]) -> None:
    """Refuse a file whose graphs call each other in a circle, or deeper than `DEEPEST`.

    Args:
        calls: for each graph the numbers of those that it calls.

    Raises:
        DamagedModelError: they do.
    """
    level = set(range(len(calls)))
    for _ in range(DEEPEST):
        level = {called for graph in level for called in calls[graph]}
        if not level:
            return
    raise damage_error(f"its graphs call each other in a circle, or more than {DEEPEST} deep")
