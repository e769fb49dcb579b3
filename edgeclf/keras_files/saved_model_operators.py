"""Refuses SavedModels that could touch files or call into Python, before anything of them is loaded.

A SavedModel's signature may call any operator, and loading one runs some of its functions (those that create, restore
and initialize objects). So each operator that can be reached is looked up in a list of what image classifiers compute.
Not reached are the operators that write checkpoints.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from edgeclf.keras_files.trust import refusal

# ruff: noqa: SIM905  # word lists read better
OPERATORS = frozenset(
    """
    Abs Acos Add AddN AddV2 AdjustContrastv2 AdjustHue AdjustSaturation All Any ArgMax ArgMin Assert AssignAddVariableOp
    AssignSubVariableOp AssignVariableOp Assign Atan Atan2 AvgPool AvgPool3D BatchMatMul BatchMatMulV2 BatchMatMulV3
    BatchToSpaceND BiasAdd BiasAddV1 Bincount Bitcast BitwiseAnd BroadcastArgs BroadcastTo Bucketize Case Cast Ceil
    CheckNumerics ClipByValue Concat ConcatOffset ConcatV2 Const Conv Conv2D Conv2DBackpropInput Conv3D Cos Cosh
    CropAndResize Cumprod Cumsum DataFormatDimMap DataFormatVecPermute DenseBincount DepthToSpace
    DepthwiseConv2dNative DisableCopyOnRead Div DivNoNan Einsum Elu Empty EnsureShape Equal Erf Erfc Erfinv Exp
    ExpandDims Expm1 ExtractImagePatches FakeQuantWithMinMaxArgs FakeQuantWithMinMaxVars
    FakeQuantWithMinMaxVarsPerChannel Fill Floor FloorDiv FloorMod FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3
    Gather GatherNd GatherV2 Greater GreaterEqual HSVToRGB Identity IdentityN If ImageProjectiveTransformV2
    ImageProjectiveTransformV3 InTopKV2 InvertPermutation IsFinite IsInf IsNan L2Loss LRN LeakyRelu LeftShift Less
    LessEqual LinSpace Log Log1p LogSoftmax LogicalAnd LogicalNot LogicalOr MatMul MatrixBandPart MatrixDiagV3 Max
    MaxPool MaxPoolV2 Maximum Mean Merge Min Minimum MirrorPad Mod Mul MulNoNan Multinomial Neg NextIteration Enter
    Exit LoopCond NoOp NonMaxSuppressionV3 NotEqual OneHot OnesLike Pack Pad PadV2 ParallelConcat PartitionedCall
    Placeholder PlaceholderWithDefault Pow PreventGradient Prod QuantizeAndDequantizeV2 QuantizeAndDequantizeV3
    QuantizeAndDequantizeV4 RGBToHSV RandomShuffle RandomStandardNormal RandomUniform RandomUniformInt Range Rank
    ReadVariableOp RealDiv Reciprocal Relu Relu6 Reshape ResizeArea ResizeBicubic ResizeBilinear ResizeNearestNeighbor
    Reverse ReverseV2 RightShift Rint RngReadAndSkip RngSkip Roll Round Rsqrt ScaleAndTranslate ScatterNd Select
    SelectV2 Selu Shape ShapeN Sigmoid Sign Sin Sinh Size Slice Softmax SoftmaxCrossEntropyWithLogits Softplus Softsign
    SpaceToBatchND SpaceToDepth Split SplitV Sqrt Square SquaredDifference Squeeze StatefulPartitionedCall
    StatefulStandardNormalV2 StatefulUniform StatefulUniformFullInt StatefulUniformInt StatelessCase StatelessIf
    StatelessRandomGetAlg StatelessRandomGetKeyCounter StatelessRandomGetKeyCounterAlg StatelessRandomNormal
    StatelessRandomNormalV2 StatelessRandomUniform StatelessRandomUniformFullInt StatelessRandomUniformFullIntV2
    StatelessRandomUniformInt StatelessRandomUniformIntV2 StatelessRandomUniformV2 StatelessTruncatedNormalV2
    StatelessWhile StopGradient StridedSlice Sub Sum Switch Tan Tanh TensorListElementShape TensorListFromTensor
    TensorListGetItem TensorListLength TensorListReserve TensorListSetItem TensorListStack TensorScatterUpdate Tile
    TopKV2 Transpose TruncateDiv TruncateMod TruncatedNormal Unpack VarHandleOp VarIsInitializedOp Variable VariableV2
    VariableShape Where While Xdivy Xlog1py Xlogy ZerosLike
    """.split()
)
_RESTORING = frozenset({"RestoreV2", "Restore", "RestoreSlice"})
"""Allowed where variables are restored: in files of TensorFlow 1 by operators of the file's own graph."""
_REGISTERED = ("", "tf.TrackableConstant")
"""Objects that the loader makes without a class of their own."""


def check_saved_model(stored: Any, file: str) -> None:
    """Check the operators of a SavedModel that its signatures reach, or that its loader may run.

    Args:
        stored: the parsed `saved_model.pb`.
        file: its name, for the message.

    Raises:
        UntrustedModelError: one is not on the list: it could read or write files, or call into Python.
    """
    for graph in stored.meta_graphs:
        for item in graph.object_graph_def.nodes:
            if item.registered_name not in _REGISTERED:
                raise refusal(file, f"the registered object {item.registered_name!r}")
        for name in sorted(_operators(graph, _called(graph)) - OPERATORS):
            raise refusal(file, f"the operator {name!r}")
        restoring = _operators(graph, [node_name(graph.saver_def.restore_op_name)])
        for name in sorted(restoring - OPERATORS - _RESTORING):
            raise refusal(file, f"the operator {name!r}")
        if not (graph.HasField("object_graph_def") and len(stored.meta_graphs) == 1):
            _check_restoring(graph, file)


def _check_restoring(graph: Any, file: str) -> None:
    """Check that a graph of TensorFlow 1 restores from the file that the loader names, its own checkpoint."""
    own = node_name(graph.saver_def.filename_tensor_name)
    inside = [node for function in graph.graph_def.library.function for node in function.node_def]
    foreign = [node for node in inside if node.op in _RESTORING]
    foreign += [
        node for node in graph.graph_def.node if node.op in _RESTORING and node_name(next(iter(node.input), "")) != own
    ]
    if foreign:
        raise refusal(file, f"the operator {foreign[0].op!r} on a checkpoint of its choice", "read other files")


def _called(graph: Any) -> Iterator[str]:
    """Name the nodes and functions that signatures, initializers and objects name."""
    for signature in graph.signature_def.values():
        for tensor in (*signature.inputs.values(), *signature.outputs.values()):
            yield node_name(tensor.name)
    for collection in graph.collection_def.values():
        yield from map(node_name, collection.node_list.value)
    yield from graph.object_graph_def.concrete_functions


def _operators(graph: Any, start: Iterable[str]) -> set[str]:
    """Collect the operators that nodes of the graph, or functions, need: their inputs and what they call."""
    functions = {function.signature.name: function for function in graph.graph_def.library.function}
    twins: dict[bytes, list[str]] = {}  # the optimizer may put one function of a group in another's place
    for name, function in functions.items():
        if "api_implements" in function.attr:
            twins.setdefault(function.attr["api_implements"].s, []).append(name)
    nodes = {node.name: node for node in graph.graph_def.node}
    found: set[str] = set()
    seen: set[str] = set()
    waiting = list(start)
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        inside: list[Any] = []
        if name in nodes:
            inside.append(nodes[name])
            waiting.extend(map(node_name, nodes[name].input))
        if name in functions:
            inside.extend(functions[name].node_def)
            if "api_implements" in functions[name].attr:  # looking for a key in such a map would add it
                waiting.extend(twins[functions[name].attr["api_implements"].s])
        for node in inside:
            waiting.extend(called_functions(node))
            if node.op in functions:
                waiting.append(node.op)
            else:
                found.add(node.op)
    return found


def called_functions(node: Any) -> Iterator[str]:
    """Name the functions that a node's attributes name, and those that these are bound to."""
    waiting = list(node.attr.values())
    while waiting:
        value = waiting.pop()
        for function in (value.func, *value.list.func):
            if function.name:
                yield function.name
                waiting += function.attr.values()


def node_name(tensor: str) -> str:
    """Return the node of a tensor or of a control input: `^a`, `a:0` and `a` are of node `a`."""
    return tensor.lstrip("^").split(":")[0]
