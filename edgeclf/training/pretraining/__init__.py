"""Learning from images without labels, so that few labelled ones suffice afterwards.

`METHODS` is the only place where the methods are listed: a method is a file in this package and a line here, or, from
outside, `METHODS["name"] = Method(...)`. Importing this package does not load TensorFlow.
"""

from __future__ import annotations

from edgeclf.errors import UnknownNameError
from edgeclf.training.pretraining.barlow_twins import BARLOW_TWINS
from edgeclf.training.pretraining.method import Method
from edgeclf.training.pretraining.rotation import ROTATION

__all__ = ["METHODS", "Method", "find_method"]

METHODS: dict[str, Method] = {
    "rotation": ROTATION,
    "barlow-twins": BARLOW_TWINS,
}


def find_method(name: str) -> Method:
    """Return the entry of the method `name`.

    Raises:
        UnknownNameError: there is no such method.
    """
    if name not in METHODS:
        raise UnknownNameError("method", name, METHODS)
    return METHODS[name]
