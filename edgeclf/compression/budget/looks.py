"""Counts how often validation images choose while a recipe is applied."""

from __future__ import annotations

from edgeclf.compression.recipe import Recipe
from edgeclf.compression.step import StepContext


def count_looks(recipe: Recipe, context: StepContext) -> int:
    """Return from how many networks the validation images choose as a recipe is applied, at least 1.

    Args:
        recipe: the recipe; a step that trains has its settings in a field `training`.
        context: the images that it trains on.
    """
    if context.data is None:
        return 1
    from edgeclf.compression.steps.fine_tune import FineTuningData, automatic_epochs

    looks = 0
    for step in recipe.steps:
        training = getattr(step, "training", None)
        if step.trains and training is not None:
            steps = FineTuningData.from_step(step, context).steps
            looks += step.count_networks(automatic_epochs(training.epochs, steps, step.target_steps))
    return max(1, looks)
