"""Finds what the recipes of a search may be made of: which steps go with the network, how far, and its noisy layers."""

from __future__ import annotations

import numpy as np

from edgeclf.compression.budget.judging import Judge, Measured
from edgeclf.compression.budget.ladder import MOST_SHRUNK, Means, can_keep_float, needed_shrink
from edgeclf.compression.budget.report import Refused
from edgeclf.compression.budget.request import SearchPlan
from edgeclf.compression.choice import find_unused, with_settings
from edgeclf.compression.export.policy import INT8_BY_THEMSELVES
from edgeclf.compression.pipeline.context import RecipeContext
from edgeclf.compression.recipe import Recipe
from edgeclf.compression.sensitivity import measure_sensitivity
from edgeclf.compression.step import STEPS
from edgeclf.compression.steps.shrink import Shrink
from edgeclf.errors import InputError, ModelError, one_line

SEARCHED_STEPS = ("qat", "shrink")
"""Kinds of the steps that recipes of a search are made of, where they are registered."""
SENSITIVITY_IMAGES = 200
"""Training images that the noise of each layer is measured on."""


def find_means(
    plan: SearchPlan, context: RecipeContext, *, kind: str, provable: bool
) -> tuple[Means, tuple[Refused, ...]]:
    """Find what recipes may be made of, and which steps are left out.

    Args:
        plan: what is searched for.
        context: the network and its images.
        kind: of the network, as `load_network` names it.
        provable: whether the validation images can prove the budget for what is trained.
    """
    data, bases, most_shrunk = context.data, plan.compress.recipes, MOST_SHRUNK
    usable, refused = set(), []
    for name in SEARCHED_STEPS:
        if name not in STEPS or plan.fixed:
            continue
        if kind != "tf-keras" or data is None or not context.labelled:
            refused.append(Refused(name, "it needs a tf-keras network and labelled images"))
            continue
        default = STEPS[name]()
        others = find_unused((), plan.settings, (default,))
        own = {key: value for key, value in plan.settings.items() if key not in others}
        (step,) = with_settings(Recipe((default,)), own).steps
        try:
            step.check_export(bases[0].export)
            if isinstance(step, Shrink):  # its own fraction is none that is searched for
                most_shrunk = min(most_shrunk, step.most_fraction(context.original))
            else:
                step.check(context.original)
        except InputError as error:
            refused.append(Refused(name, one_line(error)))
        else:
            usable.add(name)
    train = 0 if data is None else len(data.splits["train"])
    calibration = plan.compress.calibration
    means = Means(bases, plan.settings, calibration, train, frozenset(usable), provable, most_shrunk, named=plan.named)
    return means, tuple(refused)


def find_noisy_layers(plan: SearchPlan, context: RecipeContext, plain: Measured) -> tuple[str, ...]:
    """Find which layers' rounding shows most at the output, worst first, where the plain recipe loses too much by it.

    On training images, which judge nothing.

    Args:
        plan: what is searched for.
        context: the network and its images.
        plain: what the plain recipe made.
    """
    data = context.data
    (alone,) = Judge(plan.budget).judge([plain])
    # nothing is kept in float of a network that is too large or too slow as it is
    lossy = "max_drop" in alone.breaks and needed_shrink(plan.budget, plain) == 0
    if data is None or not lossy or not can_keep_float(plan.compress.recipes[0]):
        return ()
    train = data.splits["train"]
    rows = np.linspace(0, len(train) - 1, min(len(train), SENSITIVITY_IMAGES)).astype(np.int64)
    try:
        layers = measure_sensitivity(
            context.original,
            train.images[rows],
            train.labels[rows],
            calibration=context.calibration_images,
            observed=context.observed,
            progress=context.progress,
        )
    except ModelError as error:
        context.progress.info(f"no layer is kept in float: {one_line(error)}")
        return ()
    able = [layer for layer in layers if layer.operator not in INT8_BY_THEMSELVES]
    return tuple(layer.layer for layer in sorted(able, key=lambda layer: layer.output_db))
