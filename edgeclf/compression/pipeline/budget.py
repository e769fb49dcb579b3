"""Compares a model file with the budget that its network was chosen by."""

from __future__ import annotations

import contextlib
from typing import Any

from edgeclf.artifact.graph_bounds import peak_bytes
from edgeclf.artifact.macs import count_macs
from edgeclf.artifact.model_file import ModelFile
from edgeclf.compression.recipe import Recipe
from edgeclf.compression.steps.shrink import Shrink
from edgeclf.errors import InputError
from edgeclf.measure.formatting import number, size
from edgeclf.training.budget.candidates import Candidate
from edgeclf.training.budget.choice import NetworkChoice
from edgeclf.training.budget.limits import Limits, find_board


def read_choice(record: dict[str, Any]) -> NetworkChoice | None:
    """Return the choice by a budget that `run.json` records; None: nobody asked for one."""
    with contextlib.suppress(InputError):
        found = NetworkChoice.from_dict(record["choice"]) if record.get("choice") else None
        return found if found is not None and found.asked else None
    return None


def compare_with_budget(choice: NetworkChoice | None, recipe: Recipe, file: ModelFile) -> tuple[str, ...]:
    """Describe what a file takes of a budget, and which limits it breaks, one line; nothing without a budget.

    The RAM is that of the tensors that are alive at the same time: a lower bound of an arena.

    Args:
        choice: of the run.
        recipe: of the file; the board that it shrinks to stands instead of the run's choice.
        file: of any format; others than TFLite are not compared.
    """
    board = next((step.board for step in recipe.steps if isinstance(step, Shrink) and step.board is not None), None)
    budget, limits = (choice.budget, choice.limits) if choice is not None else ("", Limits())
    if board is not None:
        budget, limits = f"the budget of {board}, a heuristic", find_board(board)
    if not budget or not file.is_tflite:
        return ()
    graph = file.graph
    macs, ram = count_macs(graph), peak_bytes(graph, {})
    made = Candidate("", None, 0, macs, 0, len(file.content), ram, "", 0.0)
    facts = f"{number(macs)} MACs, {size(len(file.content))}, activations of at least {size(ram)}"
    if limits.broken_by(made):
        return (f"over {budget}: {limits.describe(made)} ({facts})",)
    return (f"within {budget}: {facts}",)
