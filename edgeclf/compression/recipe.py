"""What is done to a network: steps and an exporter, with a name for people and a digest for files and caches."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import edgeclf.compression.export.litert_quantizer_format
import edgeclf.compression.export.onnx_format  # fills the registry of exporters
import edgeclf.compression.steps  # noqa: F401  # fills the registry
from edgeclf.compression.export.tflite import TFLite
from edgeclf.compression.exporter import EXPORTERS, Exporter, known_exporters
from edgeclf.compression.step import STEPS, Step
from edgeclf.errors import InputError, UnknownNameError
from edgeclf.records import Record


@dataclass(frozen=True)
class Recipe(Record):
    """One model's way from float to file.

    Args:
        steps: in the order in which they are applied.
        export: what the file is made with.

    Raises:
        InputError: steps stand in an order that does not work, or do not go with the exporter, or a setting is not of
            its type.
    """

    steps: tuple[Step, ...] = ()
    export: Exporter = field(default_factory=TFLite)

    def __post_init__(self) -> None:
        # Settings given from Python are checked like those from JSON, and equal ones (1 and 1.0) get the same digest.
        object.__setattr__(self, "steps", tuple(map(_check_settings, self.steps)))
        object.__setattr__(self, "export", _check_settings(self.export))
        for first, second in itertools.combinations(self.steps, 2):
            if first.kind in second.after or second.kind in first.before:
                continue
            if first.kind == second.kind:
                both = f"{first.label()}, {second.label()}"
                raise InputError(f"{self.name}: {first.kind} is given twice ({both}); a recipe has it once")
            swapped = second.kind in first.after or first.kind in second.before
            todo = f"put {second.label()} first" if swapped else "make two recipes of it"
            raise InputError(f"{self.name}: {second.label()} cannot come after {first.label()}; {todo}")
        for step in self.steps:
            try:
                step.check_export(self.export)
            except InputError as error:
                raise InputError(f"{self.name}: {error}") from error

    @property
    def name(self) -> str:
        """Short name, such as `int8`, `qat-int8`, `prune50-cluster16-qat-int8`."""
        return "-".join([*(step.label() for step in self.steps), self.export.label()])

    @property
    def digest(self) -> str:
        """SHA-256 of all settings, defaults included, in hexadecimal: the identity of files and caches."""
        return digest_of(self.to_dict())

    @property
    def file_name(self) -> str:
        """The short name where every setting is the default, else with the first six characters of the digest."""
        try:
            default = self == parse_recipe(self.name)
        except InputError:  # a label that its step does not parse, such as that of a very small fraction
            default = False
        return self.name if default else f"{self.name}-{self.digest[:6]}"

    @property
    def trains(self) -> bool:
        """Whether images with labels are trained on."""
        return any(step.trains for step in self.steps)

    @property
    def calibrates(self) -> bool:
        """Whether training images set quantization ranges."""
        return self.export.calibrates

    def to_dict(self) -> dict[str, Any]:
        """Plain values; each part carries its `kind`."""
        return {"steps": steps_to_list(self.steps), "export": _part_to_dict(self.export)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Recipe:
        """Make the recipe that `to_dict` came from.

        Raises:
            InputError: a kind or a key is unknown, or a value does not fit.
        """
        if not isinstance(values, Mapping):
            raise InputError(f"Recipe must be an object, got a {type(values).__name__}")
        unknown = next((name for name in values if name not in ("steps", "export")), None)
        if unknown is not None:
            raise InputError(f"Recipe has no field {unknown!r}; it has: steps, export")
        parts = values.get("steps", ())
        if not isinstance(parts, (list, tuple)):
            raise InputError(f"Recipe.steps must be a list, got a {type(parts).__name__}")
        steps = tuple(_part_from_dict(part, STEPS, "step") for part in parts)
        if "export" not in values:
            return cls(steps)
        return cls(steps, _part_from_dict(values["export"], EXPORTERS, "exporter"))


def parse_recipe(name: str) -> Recipe:
    """Return the recipe that a short name stands for, with default settings.

    Raises:
        UnknownNameError: a part of the name is unknown; it carries the nearest known one.
        InputError: the steps do not go together.
    """
    *parts, last = name.strip().lower().split("-")
    formats = known_exporters()
    early = next((part for part in parts if part in formats), None)
    if early is not None:
        raise InputError(
            f"the recipe {name!r} names the format {early} before its end; steps come first, the format last"
        )
    steps = tuple(_parse_step(part) for part in parts)
    if last in formats:
        return Recipe(steps, formats[last])
    if any(step.parse(last) is not None for step in STEPS.values()):
        raise InputError(f"the recipe {name!r} names no format at its end; write {name}-{TFLite().label()}")
    raise UnknownNameError("format of a recipe", last, formats)


def describe_settings(recipe: Recipe) -> str:
    """Describe the settings of a recipe that are not the defaults of its name: `float_layers=conv2d_3`; often empty."""
    try:
        default = parse_recipe(recipe.name)
    except InputError:  # a label that its step does not parse
        default = Recipe(tuple(type(step)() for step in recipe.steps), type(recipe.export)())
    parts: list[str] = []
    mine: list[Any] = [*recipe.steps, recipe.export]
    plains: list[Any] = [*default.steps, default.export]
    for one, plain in zip(mine, plains, strict=True):
        before = _flat(plain.to_dict())
        parts += [f"{key}={_shown(value)}" for key, value in _flat(one.to_dict()).items() if value != before.get(key)]
    return ", ".join(parts)


def steps_to_list(steps: Sequence[Step]) -> list[dict[str, Any]]:
    """Return plain values of steps; each carries its `kind`."""
    return [_part_to_dict(step) for step in steps]


def digest_of(values: Any) -> str:
    """Return the SHA-256 of the canonical JSON of plain values, in hexadecimal."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    # paths may hold bytes that are not UTF-8
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _parse_step(part: str) -> Step:
    wrong: InputError | None = None
    for kind in STEPS.values():
        try:
            step: Step | None = kind.parse(part)
        except InputError as error:  # a value that is out of range; another step may know the name
            wrong = wrong or error
        else:
            if step is not None:
                return step
    if wrong is not None:
        raise wrong
    raise UnknownNameError("step of a recipe", part, [kind().label() for kind in STEPS.values()])


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings by the name of the innermost field."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= _flat(value) if isinstance(value, Mapping) else {key: value}
    return found


def _shown(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return "+".join(map(_shown, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _check_settings(part: Any) -> Any:
    return type(part).from_dict(part.to_dict())


def _part_to_dict(part: Any) -> dict[str, Any]:
    return {"kind": part.kind, **part.to_dict()}


def _part_from_dict(values: Any, registry: dict[str, type[Any]], what: str) -> Any:
    if isinstance(values, Record):
        return values
    if not isinstance(values, dict) or "kind" not in values:
        raise InputError(f"a {what} in JSON must be an object with the key 'kind', got {values!r}")
    kind = str(values["kind"])
    if kind not in registry:
        raise UnknownNameError(what, kind, registry)
    return registry[kind].from_dict({key: value for key, value in values.items() if key != "kind"})
