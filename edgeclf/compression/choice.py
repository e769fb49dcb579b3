"""Which recipes keywords and options stand for; the known settings are fields of the registered steps and exporters."""

from __future__ import annotations

import contextlib
import dataclasses
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgeclf.compression.export.tflite import TFLite
from edgeclf.compression.exporter import EXPORTERS, known_exporters
from edgeclf.compression.recipe import Recipe, parse_recipe
from edgeclf.compression.step import STEPS, Step
from edgeclf.errors import InputError, UnknownNameError
from edgeclf.records import Record

DEFAULT_FORMATS = ("int8", "float16")
"""What is made where nothing is named; of them, those that have the type of input and output."""
SPECIAL_FORMATS = ("int8",)
"""What is made where steps are named, and no format."""
SMALLER_FORMATS = ("int4",)
"""What a search for a small file may make besides."""
DEFAULT_IO = "uint8"

Given = Recipe | str | Sequence[Recipe | str] | None


@dataclass(frozen=True)
class Asked:
    """What a caller named, before it becomes recipes.

    Attributes:
        recipes: recipes or their short names; None: formats and steps name them.
        formats: labels of exporters, such as `int8`.
        steps: by kind of the step, the value of its option, such as `{"prune": 0.5}`; None and False are left out.
        settings: by key (see `setting_types`).
        io: type of the models' input and output.
    """

    recipes: Given = None
    formats: tuple[str, ...] = ()
    steps: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    io: str = DEFAULT_IO


def choose_recipes(asked: Asked) -> tuple[Recipe, ...]:
    """Return the recipes that are meant: those named, or one a format, each with all steps.

    Where nothing is named, `DEFAULT_FORMATS` are made.

    Raises:
        UnknownNameError: a setting, a format or a part of a recipe is unknown.
        InputError: what is named does not go together.
    """
    known = setting_types()
    for key in asked.settings:
        if key not in known:
            raise UnknownNameError("setting", key, known)
    named = {kind: value for kind, value in asked.steps.items() if value is not None and value is not False}
    if asked.recipes is not None:
        beside = next(iter((*asked.formats, *named)), None)
        if beside is not None:
            raise InputError(f"a recipe cannot be combined with {beside}; write it into the recipe, such as qat-int8")
        recipes = _named(asked.recipes)
    else:
        formats = tuple(dict.fromkeys(asked.formats)) or (SPECIAL_FORMATS if named else _default_formats(asked))
        steps = tuple(step.from_option(named[kind]) for kind, step in STEPS.items() if kind in named)
        recipes = tuple(Recipe(steps, parse_recipe(name).export) for name in formats)
    settings = dict(asked.settings)
    if asked.io != DEFAULT_IO:
        settings["io"] = asked.io
    for recipe in recipes:
        for step in recipe.steps:
            _check_kept(step, settings)
    recipes = tuple(with_settings(recipe, settings) for recipe in recipes)
    check_recipes(recipes)
    return recipes


def check_formats(names: Sequence[str]) -> tuple[str, ...]:
    """Refuse names that are of no format.

    Raises:
        UnknownNameError: one is not.
    """
    known = known_exporters()
    for name in names:
        if name not in known:
            raise UnknownNameError("format", name, known)
    return tuple(names)


def check_recipes(recipes: Sequence[Recipe]) -> None:
    """Refuse no recipe at all, and one that is given twice.

    Raises:
        InputError: it is so.
    """
    if not recipes:
        raise InputError(f"no recipe is given; name one, such as {TFLite().label()}")
    names = [recipe.file_name for recipe in recipes]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise InputError(f"the recipe {twice} is given twice")


def setting_types() -> dict[str, Any]:
    """Return the type of each setting, by key.

    A setting of a step is its field's name behind the step's kind, as in `qat_epochs`. What several steps have, as
    `batch_size`, and what exporters have stands without a kind as well, and is meant for all of them.
    """
    found: dict[str, Any] = {}
    for part in (*STEPS.values(), *EXPORTERS.values()):
        for key, (_, hint) in _keys(part).items():
            found.setdefault(key, hint)
    return found


def settings_record() -> type[Any]:
    """Return a dataclass with a field a setting, for what reads names and types off a dataclass; `io` is left out.

    The type of input and output has an option of its own.
    """
    types = {key: hint for key, hint in setting_types().items() if key != "io"}
    return dataclasses.make_dataclass("Settings", [(key, hint, None) for key, hint in types.items()])


def with_settings(recipe: Recipe, settings: Mapping[str, Any]) -> Recipe:
    """Return a recipe with other settings; those of steps that it does not have are left out.

    Raises:
        InputError: a value does not fit.
    """
    if not settings:
        return recipe
    return Recipe(tuple(_set(step, settings) for step in recipe.steps), _set(recipe.export, settings))


def find_unused(recipes: Sequence[Recipe], settings: Mapping[str, Any], steps: Sequence[Step] = ()) -> tuple[str, ...]:
    """Return the keys of the settings that no step or exporter of any recipe has and follows, nor one of `steps`."""
    every = [*steps, *(step for recipe in recipes for step in recipe.steps)]
    used = {key for step in every for key in _keys(type(step))}
    for recipe in recipes:
        decided = {key for step in recipe.steps for key in step.decides}
        used |= _keys(type(recipe.export)).keys() - decided
    return tuple(key for key in settings if key not in used)


def _named(recipes: Recipe | str | Sequence[Recipe | str]) -> tuple[Recipe, ...]:
    given = [recipes] if isinstance(recipes, (Recipe, str)) else list(recipes)
    other = next((recipe for recipe in given if not isinstance(recipe, (Recipe, str))), None)
    if other is not None:
        raise InputError(f"a recipe must be a Recipe or a name such as {TFLite().label()}, got {other!r}")
    return tuple(recipe if isinstance(recipe, Recipe) else parse_recipe(recipe) for recipe in given)


def _check_kept(step: Any, settings: Mapping[str, Any]) -> None:
    """Refuse a setting that makes another step of the one that was named, such as `prune80` of `prune50`.

    Raises:
        InputError: it is so.
    """
    for key, value in settings.items():
        label = _set(step, {key: value}).label()
        if label != step.label():
            raise InputError(
                f"{step.label()} is named, and the setting {key} makes {label} of it; leave one of them out"
            )


def _set(part: Any, settings: Mapping[str, Any]) -> Any:
    """Copy a step or an exporter with those of the settings that are its own; `qat_epochs` overrides `epochs`."""
    keys = _keys(type(part))
    chosen = {keys[key][0]: settings[key] for key in sorted(settings, key=len) if key in keys}
    values = part.to_dict()
    for path, value in chosen.items():
        inside = values
        for name in path[:-1]:
            inside = inside[name]
        inside[path[-1]] = value
    return type(part).from_dict(values) if chosen else part


def _keys(part: type[Any]) -> dict[str, tuple[tuple[str, ...], Any]]:
    """Find by key where a setting of a step or an exporter stands in it, and its type."""
    found: dict[str, tuple[tuple[str, ...], Any]] = {}
    for path, hint in _leaves(part):
        if part.kind in STEPS and STEPS[part.kind] is part:
            found[f"{part.kind}_{path[-1]}"] = (path, hint)
        if len(path) > 1 or part.kind not in STEPS:
            found.setdefault(path[-1], (path, hint))
    if part.kind in EXPORTERS and EXPORTERS[part.kind] is part:
        # what the label expresses is no setting
        made = part()
        for variant in part.variants().values():
            for field in dataclasses.fields(variant):
                if getattr(variant, field.name) != getattr(made, field.name):
                    found.pop(field.name, None)
    return found


def _leaves(record: type[Any], inside: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """List paths and types of a record's fields, those of records inside too."""
    hints = typing.get_type_hints(record)
    for field in dataclasses.fields(record):
        hint = hints[field.name]
        if isinstance(hint, type) and issubclass(hint, Record):
            yield from _leaves(hint, (*inside, field.name))
        else:
            yield (*inside, field.name), hint


def _default_formats(asked: Asked) -> tuple[str, ...]:
    """List those of `DEFAULT_FORMATS` that take the settings, the type of input and output among them."""
    found, settings = [], {**asked.settings, "io": asked.io}
    for name in DEFAULT_FORMATS:
        with contextlib.suppress(InputError):
            with_settings(parse_recipe(name), settings)
            found.append(name)
    # where none takes them, the first one raises the error that names what is known
    return tuple(found) or DEFAULT_FORMATS[:1]
