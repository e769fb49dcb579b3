"""What the user should know about a recipe's file on this runtime, in plain words."""

from __future__ import annotations

from edgeclf.compression.export.model_file_stats import ModelFileStats
from edgeclf.compression.recipe import Recipe


def remarks(recipe: Recipe, stats: ModelFileStats, plain_gzip_bytes: int | None = None) -> tuple[str, ...]:
    """Return what was asked for and is not in the file, and sizes, a line each; speed is measured instead.

    Args:
        recipe: what was asked for.
        stats: what was counted in the file.
        plain_gzip_bytes: of the same format without any step; None: it was not made.
    """
    format = recipe.export.label()
    plain = "" if plain_gzip_bytes is None else f"; plain {format} after gzip: {plain_gzip_bytes:,} bytes"
    sizes = f"{stats.size_bytes:,} bytes, after gzip {stats.gzip_bytes:,} bytes{plain}"
    found = [recipe.export.remark] if recipe.export.remark else []
    for step in recipe.steps:
        found += step.remarks(stats, sizes)
    if recipe.export.integer and stats.float_operators:
        names = ", ".join(dict.fromkeys(stats.float_operators))
        found.append(f"not all of it is integer: {names} compute in float")
    return tuple(found)
