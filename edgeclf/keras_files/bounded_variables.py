"""Bounds the weights that a loader makes by those that a file holds: its configuration may claim any number."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import Any

from edgeclf.errors import ModelError
from edgeclf.graph.private_apis import keras3_variables

_NOT_STORED = 1 << 20
"""Values of states that layers make anew, such as those of random numbers."""


@contextlib.contextmanager
def bounded_variables(file: str, stored: int | None, *, keras3: bool = False) -> Iterator[None]:
    """Refuse a network while it is built that takes more weights than there are, before memory is taken for them.

    Args:
        file: its name, for the message.
        stored: values in the file; None: there is no bound.
        keras3: Keras 3 builds it.

    Raises:
        ModelError: from within, where the bound is exceeded.
    """
    if stored is None:
        yield
        return
    with keras3_variables(_counter(file, stored)) if keras3 else _tf_keras_variables(_counter(file, stored)):
        yield


def _counter(file: str, stored: int) -> Callable[[Any], None]:
    made = 0

    def count(shape: Any) -> None:
        nonlocal made
        made += math.prod(int(size) for size in shape)
        if made > stored + _NOT_STORED:
            raise ModelError(f"{file}: its layers take more weights than the {stored:,} that it holds; save it again")

    return count


def _tf_keras_variables(before: Callable[[Any], None]) -> contextlib.AbstractContextManager[Any]:
    import tensorflow as tf

    def create(following: Callable[..., Any], **settings: Any) -> Any:
        if settings.get("shape") is not None:
            before(settings["shape"])
        return following(**settings)

    scope: contextlib.AbstractContextManager[Any] = tf.variable_creator_scope(create)
    return scope
