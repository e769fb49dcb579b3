"""Edits the stored graph of a SavedModel to the inference path in float32, before TensorFlow loads it.

An exported signature may do what only training should: Keras' `export` keeps the layers that flip and turn images at
random. It may compute in 16 bits, which TFLite cannot. And it may end in one sigmoid (`edgeclf.graph.two_classes`).
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import Any

from edgeclf.errors import ModelError
from edgeclf.graph.private_apis import function_graph
from edgeclf.graph.two_classes import AVERAGED
from edgeclf.keras_files.reading import READING_ERRORS
from edgeclf.keras_files.saved_model_operators import called_functions, node_name

_RANDOM = ("Rng", "Random", "StatelessRandom", "StatelessTruncated", "Stateful", "Truncated", "Multinomial")
_NOT_RANDOM = frozenset({"StatefulPartitionedCall"})
_LEARNED = frozenset({"Conv2D", "DepthwiseConv2dNative", "MatMul", "FusedBatchNormV3", "BiasAdd", "BatchMatMulV2"})
_PASSED_ON = frozenset({"Cast", "Identity", "Reshape", "Squeeze"})
_UPDATES = frozenset({"AssignVariableOp", "AssignAddVariableOp", "AssignSubVariableOp"})
_CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})


def signature_functions(stored: Any) -> list[Any]:
    """List the functions that the signatures of a SavedModel reach, as the file holds them."""
    found = []
    for graph in stored.meta_graphs:
        functions = {function.signature.name: function for function in graph.graph_def.library.function}
        outputs = {node_name(one.name) for entry in graph.signature_def.values() for one in entry.outputs.values()}
        nodes = [node for node in graph.graph_def.node if node.name in outputs]
        waiting = [name for node in nodes for name in called_functions(node)]
        seen: set[str] = set()
        while waiting:
            name = waiting.pop()
            if name in functions and name not in seen:
                seen.add(name)
                waiting += [one for node in functions[name].node_def for one in called_functions(node)]
        found += [functions[name] for name in sorted(seen)]
    return found


def leave_out_augmentation(stored: Any) -> list[str]:
    """Connect around the layers that change images at random, one image in and one of its shape out.

    Returns:
        the names of these layers.
    """
    return [name for function in signature_functions(stored) for name in _random_layers(function)]


def training_operators(stored: Any) -> list[str]:
    """Name the operators that only training should have, and where they stand: random numbers, changed weights.

    Keras 3 exports a network with augmentation inside with its batch normalization in training mode: it normalizes each
    image by itself, and updates its averages.
    """
    nodes = [node for function in signature_functions(stored) for node in function.node_def]
    return sorted({f"{node.op} in {node.name}" for node in nodes if _is_random(node) or node.op in _UPDATES})


def _is_random(node: Any) -> bool:
    return node.op.startswith(_RANDOM) and node.op not in _NOT_RANDOM


def _random_layers(function: Any) -> Iterator[str]:
    if not any(map(_is_random, function.node_def)):
        return
    import tensorflow as tf

    try:
        shapes = _Shapes(function)
    except (*READING_ERRORS, tf.errors.OpError):  # it calls functions that are not loaded yet
        return
    while True:
        scopes = {scope for node in function.node_def if _is_random(node) for scope in _scopes(node.name)}
        for scope in sorted(scopes, key=len, reverse=True):
            if _bypass(function, scope, shapes):
                yield scope
                break
        else:
            return


def _scopes(name: str) -> Iterator[str]:
    parts = name.split("/")[:-1]
    for count in range(1, len(parts) + 1):
        yield "/".join(parts[:count])


class _Shapes:
    """Shapes and types of the tensors in a function."""

    def __init__(self, function: Any) -> None:
        self._graph = function_graph(function)
        names = [argument.name for argument in function.signature.input_arg]
        self._arguments = dict(zip(names, self._graph.inputs, strict=True))

    def floats(self, reference: str) -> Any:
        """Return the shape of a float tensor; None: it is another one."""
        name = node_name(reference)
        if ":" not in reference:
            tensor = self._arguments.get(name)
        else:
            outputs = self._graph.get_operation_by_name(name).outputs
            tensor = outputs[0] if len(outputs) == 1 else None
        return tensor.shape if tensor is not None and tensor.dtype.is_floating else None


def _bypass(function: Any, scope: str, shapes: _Shapes) -> bool:
    """Take a layer out of a function if it takes one image and returns one of its shape, and has learned nothing."""
    inside = {node.name: node for node in function.node_def if node.name.startswith(f"{scope}/")}
    if any(node.op in _LEARNED for node in inside.values()):
        return False
    entering, leaving = set(), set()
    for node in function.node_def:
        for reference in node.input:
            if reference.startswith("^"):
                continue
            if node.name in inside and node_name(reference) not in inside:
                entering.add(reference)
            if node.name not in inside and node_name(reference) in inside:
                leaving.add(reference)
    leaving |= {reference for reference in function.ret.values() if node_name(reference) in inside}
    images = [one for one in entering if (shape := shapes.floats(one)) is not None and shape.rank == 4]
    result = shapes.floats(*leaving) if len(leaving) == 1 else None
    if len(images) != 1 or result is None or not result.is_compatible_with(shapes.floats(images[0])):
        return False
    _replace_reference(function, leaving.pop(), images[0], outside=inside)
    _delete(function, set(inside))
    _sweep(function, scope.rpartition("/")[0])
    return True


def _sweep(function: Any, scope: str) -> None:
    """Delete what was computed under `scope` for a layer that is gone, such as its seeds; nothing reads it."""
    inside = {node.name for node in function.node_def if node.name.startswith(f"{scope}/")}
    if not scope or any(node.op in _LEARNED for node in function.node_def if node.name in inside):
        return
    nodes = {node.name: node for node in function.node_def}
    waiting, read = [node_name(reference) for reference in function.ret.values()], set()
    while waiting:
        name = waiting.pop()
        if name in nodes and name not in read:
            read.add(name)
            waiting += [node_name(one) for one in nodes[name].input if not one.startswith("^")]
    _delete(function, inside - read)


def _delete(function: Any, names: set[str]) -> None:
    kept = [node for node in function.node_def if node.name not in names]
    for node in kept:
        node.input[:] = [one for one in node.input if not (one.startswith("^") and node_name(one) in names)]
    del function.node_def[:]
    function.node_def.extend(kept)
    for key in [key for key, value in function.control_ret.items() if node_name(value) in names]:
        del function.control_ret[key]
    del function.signature.control_output[:]
    function.signature.control_output.extend(sorted(function.control_ret))


def _replace_reference(function: Any, old: str, new: str, outside: Container[str] = ()) -> None:
    """Let all nodes, but those named in `outside`, and the results read another tensor."""
    for node in function.node_def:
        if node.name not in outside:
            node.input[:] = [new if one == old else one for one in node.input]
    for key, reference in function.ret.items():
        function.ret[key] = new if reference == old else reference


def compute_in_float32(stored: Any) -> bool:
    """Replace 16-bit floating point by float32 inside the functions; returns whether there was any."""
    import tensorflow as tf

    halves, changed = (tf.float16.as_datatype_enum, tf.bfloat16.as_datatype_enum), False
    for function in signature_functions(stored):
        for argument in (*function.signature.input_arg, *function.signature.output_arg):
            if argument.type in halves:
                argument.type, changed = tf.float32.as_datatype_enum, True
        for node in function.node_def:
            for value in node.attr.values():
                if value.type in halves:
                    value.type, changed = tf.float32.as_datatype_enum, True
                if any(one in halves for one in value.list.type):
                    types = [tf.float32.as_datatype_enum if one in halves else one for one in value.list.type]
                    value.list.type[:] = types
                if value.HasField("tensor") and value.tensor.dtype in halves:
                    numbers = tf.make_ndarray(value.tensor).astype("float32")
                    value.tensor.CopyFrom(tf.make_tensor_proto(numbers))
    return changed


def take_sigmoid_out(stored: Any, output: str, name: str) -> str:
    """Take the sigmoid at the end of a signature out, so that it returns the value in front of it.

    Args:
        stored: the parsed `saved_model.pb`.
        output: name of the tensor that the signature returns.
        name: of the folder, for the message.

    Returns:
        the activation that was found: `sigmoid`, `linear`, or the name of another operator.

    Raises:
        ModelError: the end of the signature is not in a function.
    """
    graph = stored.meta_graphs[0].graph_def
    functions = {function.signature.name: function for function in graph.library.function}
    nodes, reference = {node.name: node for node in graph.node}, output
    position, function = int(output.partition(":")[2] or 0), None
    for _ in range(100):
        node = nodes.get(node_name(reference))
        if node is None:
            break
        if node.op in _CALLS and node.attr["f"].func.name in functions:
            function = functions[node.attr["f"].func.name]
            nodes = {one.name: one for one in function.node_def}
            reference = function.ret[function.signature.output_arg[position].name]
        elif node.op in _PASSED_ON:
            reference = node.input[0]
        elif node.op == "Sigmoid" and function is not None:
            _replace_reference(function, f"{node.name}:y:0", node.input[0])
            return "sigmoid"
        else:
            before = nodes.get(node_name(node.input[0])) if node.op == "Mean" and node.input else None
            if before is not None and before.op in ("Sigmoid", "Softmax"):
                return AVERAGED
            return "linear" if node.op in ("BiasAdd", "MatMul", "AddV2", "Add", "Mean") else node.op
        position = int(reference.rsplit(":", 1)[1]) if ":" in reference else 0
    raise ModelError(
        f"{name}: its one output comes from no operator of a function; export the network with 2 output classes"
    )
