"""What a person should know about a recipe on this runtime, in plain words."""

from __future__ import annotations

from edgeclf.compression.emitted import EmittedFacts
from edgeclf.compression.recipe import Recipe

FORMAT_REMARKS = {
    "float32": "as large and as fast as the float network: for comparison",
    "float16": "half the size of float32, but not faster on this runtime, which computes in float32",
    "dynamic": "about as small as int8, but not faster than float32 on CPUs, often slower: int8 is smaller and faster",
    "int16x8": "neither smaller nor faster than int8 on this runtime: int16 activations run many times slower",
    "int8": "",
}


def remarks(recipe: Recipe, facts: EmittedFacts) -> tuple[str, ...]:
    """Size and speed as they are, for one emitted file."""
    found = [FORMAT_REMARKS[recipe.format]] if FORMAT_REMARKS[recipe.format] else []
    sizes = f"{facts.size_bytes:,} bytes, {facts.gzip_bytes:,} after gzip"
    if recipe.prune is not None and facts.sparsity is not None:
        found.append(
            f"{facts.sparsity:.1%} zeros make the file neither smaller nor faster on this runtime, which stores and "
            f"computes them; they help after compression ({sizes})"
        )
    if recipe.cluster is not None:
        found.append(
            f"at most {facts.distinct_weights_per_channel_max} distinct weights an output channel (batch norm scales "
            f"each apart) make the file neither smaller nor faster on this runtime; they help after gzip ({sizes})"
        )
    if recipe.format == "int8" and facts.float_operators:
        names = ", ".join(dict.fromkeys(facts.float_operators))
        found.append(f"not all of it is integer: {names} compute in float, which slows it down")
    return tuple(found)
