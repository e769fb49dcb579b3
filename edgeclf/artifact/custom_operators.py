"""Explains operators that are no part of TFLite, and what to do about a model that has some."""

from __future__ import annotations

from edgeclf.artifact.model_file import ModelFile

_EDGE_TPU = "edgetpu-custom-op"
_MOST_NAMED = 3
_MOST_LETTERS = 40


def is_for_edge_tpu(file: ModelFile) -> bool:
    """Return whether a model was compiled for an Edge TPU."""
    return any(operator.name == _EDGE_TPU for operator in file.graph.operators)


def describe_edge_tpu(file: ModelFile) -> str:
    """Describe in one line what to do with a model that was compiled for an Edge TPU."""
    remedy = "take the .tflite file that it was compiled from"
    if file.path is not None and file.path.stem.endswith("_edgetpu"):
        source = file.path.with_name(file.path.stem.removesuffix("_edgetpu") + file.path.suffix)
        remedy += f": {source}" if source.is_file() else f", such as {source.name}"
    return f"{file.name}: was compiled for an Edge TPU (operator {_EDGE_TPU}), which edgeclf does not run; {remedy}"


def describe_custom_operators(file: ModelFile) -> str:
    """Describe the operators of a model that are no part of TFLite, in brackets; empty where it has none."""
    names = sorted({one.name for one in file.graph.operators if one.name != one.name.upper()})
    if not names:
        return ""
    shown = ", ".join(name[:_MOST_LETTERS] for name in names[:_MOST_NAMED])
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    one = len(names) == 1
    flex = any(name.startswith("Flex") for name in names)
    remedy = "SELECT_TF_OPS" if flex else "it" if one else "them"
    subject = f"operator {shown} is" if one else f"operators {shown}{more} are"
    return f" (its {subject} no part of TFLite; export it without {remedy})"
