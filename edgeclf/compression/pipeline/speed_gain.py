"""Measures what a recipe gains in speed when it is made: the model and a float32 one of the same network, in turns."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edgeclf.artifact.model_file import ModelFile
from edgeclf.compression.export.tflite import TFLite
from edgeclf.compression.pipeline.context import RecipeContext
from edgeclf.compression.pipeline.run_recipe import Candidate
from edgeclf.compression.recipe import Recipe
from edgeclf.errors import EdgeclfError
from edgeclf.graph.float_network import FloatNetwork
from edgeclf.measure.formatting import milliseconds
from edgeclf.measure.machine import is_busy_at, usable_cores
from edgeclf.measure.speed import Speed, measure_speed

FLOAT_COST = "the layers in float cost"
"""How a note on their time begins."""


class SpeedMeter:
    """Times the models of one source; the float32 model is made once, in memory, unless a recipe makes it anyway.

    Args:
        context: what the recipes share.
        recipes: of the call.
    """

    def __init__(self, context: RecipeContext, recipes: Sequence[Recipe]) -> None:
        self._context = context
        # where all models take floats, the float32 model has no conversion of its input either
        io = "float32" if all(getattr(recipe.export, "io", None) == "float32" for recipe in recipes) else "uint8"
        self._export = TFLite("float32", io=io)
        self._float32: ModelFile | None = None
        self._failed = False

    @property
    def is_disturbed(self) -> bool:
        """Whether other programs ran on this machine before the recipes began to work."""
        return is_busy_at(self._context.load_before, usable_cores())

    def keep(self, candidate: Candidate) -> None:
        """Take a candidate as the float32 model, where it is that one."""
        if self._float32 is None and not candidate.recipe.steps and candidate.recipe.export == self._export:
            self._float32 = candidate.file

    def measure(self, file: ModelFile) -> Speed | None:
        """Time a model; None where it is no TFLite file, or no float32 model can be made of the network."""
        if not file.is_tflite:
            return None
        if self._float32 is None and not self._failed:
            try:
                self._float32 = self._export.export(self._context.original, self._context)
            except EdgeclfError as error:
                # the recipes themselves succeed: nothing is claimed, and the reason is named once
                self._failed = True
                self._context.progress.warn(f"speed was not measured: no float32 model can be made ({error})")
        if self._float32 is None:
            return None
        with self._context.progress.task("timing beside the float32 model", None):
            return measure_speed(file, self._float32, load_before=self._context.load_before)

    def describe_float_layers(
        self, recipe: Recipe, file: ModelFile, network: Callable[[], FloatNetwork]
    ) -> tuple[str, ...]:
        """Time a model with layers in float beside one with all layers in int8, in turns; a note on what they cost.

        Args:
            recipe: of the model.
            file: the model.
            network: returns that after the steps of the recipe.
        """
        export = recipe.export
        if not isinstance(export, TFLite) or not export.policy.selects:
            return ()
        # other weights and ranges take the same time, and these are made at once
        try:
            whole = TFLite(io=export.io, bias_correction=False, rounding="nearest").export(network(), self._context)
            with self._context.progress.task("timing the layers in float", None):
                speed = measure_speed(file, whole, load_before=self._context.load_before)
        except EdgeclfError as error:  # which may be why layers stay in float
            return (f"{FLOAT_COST} was not measured: no model with all layers in int8 can be made ({error})",)
        mixed, integers = speed.median_ms, speed.float32_median_ms
        return (
            f"{FLOAT_COST} {1000 * (mixed - integers):+.0f} µs an image on this machine: "
            f"{milliseconds(mixed)}, against {milliseconds(integers)} with all layers in int8",
        )
