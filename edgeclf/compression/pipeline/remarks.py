"""What a person should know about a recipe on this runtime, in plain words."""

from __future__ import annotations

from edgeclf.compression.export.formats import FORMATS
from edgeclf.compression.export.model_file_stats import ModelFileStats
from edgeclf.compression.recipe import Recipe


def remarks(recipe: Recipe, facts: ModelFileStats, plain_gzip_bytes: int | None = None) -> tuple[str, ...]:
    """What was asked for and is not in the file, and size and speed as they are.

    Args:
        recipe: what was asked for.
        facts: what was counted in the file.
        plain_gzip_bytes: of the same format without pruning and clustering; None: it was not made.
    """
    found = [*_shortfalls(recipe, facts)]
    if FORMATS[recipe.format].remark:
        found.append(FORMATS[recipe.format].remark)
    plain = "" if plain_gzip_bytes is None else f", {plain_gzip_bytes:,} of plain {recipe.format}"
    sizes = f"{facts.size_bytes:,} bytes, after gzip {facts.gzip_bytes:,}{plain}"
    if recipe.prune is not None and facts.sparsity is not None:
        found.append(
            f"{facts.sparsity:.1%} zeros make the file neither smaller nor faster on this runtime, which stores and "
            f"computes them ({sizes})"
        )
    if recipe.cluster is not None:
        found.append(
            f"at most {facts.distinct_weights_per_channel_max} distinct weights an output channel (batch norm scales "
            f"each apart) make the file neither smaller nor faster on this runtime ({sizes})"
        )
    if FORMATS[recipe.format].integer and facts.float_operators:
        names = ", ".join(dict.fromkeys(facts.float_operators))
        found.append(f"not all of it is integer: {names} compute in float, which slows it down")
    return tuple(found)


def _shortfalls(recipe: Recipe, facts: ModelFileStats) -> list[str]:
    """Where the file has less than was asked for."""
    found = []
    if recipe.prune is not None and recipe.pattern is None and (facts.sparsity or 0.0) < recipe.prune:
        found.append(f"asked for {recipe.prune:.1%} zeros, but the file has {facts.sparsity or 0:.2%}")
    if recipe.pattern is not None and facts.groups_off_pattern:
        found.append(
            f"asked for {recipe.pattern}, but {facts.groups_off_pattern:,} of {facts.groups:,} groups of four input "
            "channels have less than two zeros in the file"
        )
    distinct = facts.distinct_weights_per_channel_max or 0
    if recipe.cluster is not None and distinct > recipe.cluster:
        found.append(
            f"asked for {recipe.cluster} distinct weights, but the file has up to {distinct} in one output channel"
        )
    return found
