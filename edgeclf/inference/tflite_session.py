"""Sessions over the Python interpreter of TFLite, which several packages ship with the same interface."""

from __future__ import annotations

import importlib.metadata
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from edgeclf.artifact.custom_operators import describe_custom_operators, describe_edge_tpu, is_for_edge_tpu
from edgeclf.artifact.extra_outputs import with_outputs
from edgeclf.artifact.graph_bounds import is_predictable
from edgeclf.artifact.model_file import ModelFile
from edgeclf.artifact.onnx_file import OnnxFile
from edgeclf.artifact.tflite import TensorInfo, TfliteModel
from edgeclf.artifact.wide_weights import with_int8_weights
from edgeclf.errors import InputError, ModelError, RunFailedError
from edgeclf.image.native_stderr import RUNTIME_CHATTER, without_chatter
from edgeclf.inference.engine import TensorSpec, check_threads
from edgeclf.inference.limits import ModelLimits
from edgeclf.inference.watched_call import WatchedCall

PlannedOperator = tuple[str, tuple[int, ...], tuple[int, ...]]
"""Name, numbers of the tensors that it reads, and of those that it writes."""
Kernels = Literal["fast", "plain", "reference"]
"""Which of the runtime's kernels compute: those of its delegate (XNNPACK) and, for what it leaves, the plain ones; the
plain ones alone; or the slow ones that the others are checked against, which compute the same everywhere."""
_RESOLVERS = {"plain": "BUILTIN_WITHOUT_DEFAULT_DELEGATES", "reference": "BUILTIN_REF"}
"""The names of the kernels in the runtime's Python interface, but for the default ones."""


class TFLiteSession:
    """A model in an interpreter; see `Session`.

    Args:
        native: the interpreter, its tensors allocated.
        file: the model.
        engine: name of the engine.
        engine_version: of its package.
        threads: number of threads.
        limits: of a graph that need not end soon; None: it does.
        as_stored: the interpreter has all weights as they are in the file.
    """

    def __init__(
        self,
        native: Any,
        file: ModelFile,
        *,
        engine: str,
        engine_version: str,
        threads: int,
        limits: ModelLimits | None = None,
        as_stored: bool = True,
    ) -> None:
        self.input = _spec(file.graph.inputs[0])
        self.output = _spec(file.graph.outputs[0])
        self.engine = engine
        self.engine_version = engine_version
        self.threads = threads
        self.as_stored = as_stored
        self._set_tensor, self._get_tensor, self._tensor = native.set_tensor, native.get_tensor, native.tensor
        self._list_operators = getattr(native, "_get_ops_details", None)
        try:
            self._dtype: np.dtype[Any] = np.dtype(self.input.dtype)
        except TypeError:
            raise ModelError(
                f"{file.name}: its input is of the type {self.input.dtype}, and edgeclf gives numbers to a model"
            ) from None
        self._in = int(native.get_input_details()[0]["index"])
        self._out = int(native.get_output_details()[0]["index"])
        self.invoke: Callable[[], object] = native.invoke
        if limits is not None:
            self.invoke = WatchedCall(native.invoke, native, file.name, limits)

    def run(self, tensor: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Compute the graph on a tensor of the input's shape and type; returns a copy of the raw output.

        Raises:
            InputError: the tensor has another shape or type.
            RunFailedError: the runtime fails, or the model takes more time or memory than allowed.
        """
        if tensor.shape != self.input.shape or tensor.dtype != self._dtype:
            expected = f"{self.input.dtype}{list(self.input.shape)}"
            raise InputError(f"the input must be {expected}, got {tensor.dtype}{list(tensor.shape)}")
        self._set_tensor(self._in, tensor)
        self._compute()
        result: npt.NDArray[Any] = self._get_tensor(self._out)
        return result

    def run_tensors(self, tensors: Mapping[int, npt.NDArray[Any]]) -> None:
        """Compute a graph of several inputs, given by tensor number; `read` and `view` return what came out.

        Raises:
            RunFailedError: the runtime fails, or the model takes more time or memory than allowed.
        """
        for index, values in tensors.items():
            self._set_tensor(index, values)
        self._compute()

    def _compute(self) -> None:
        try:
            self.invoke()
        except (RuntimeError, ValueError) as error:
            raise RunFailedError(f"{self.engine} failed while running the model: {_first_line(error)}") from error

    def write(self, index: int, values: npt.NDArray[Any]) -> None:
        """Put values into input tensor number `index`, of its shape and type; for graphs with several inputs."""
        self._set_tensor(index, values)

    def planned_operators(self) -> tuple[PlannedOperator, ...] | None:
        """List the operators as the interpreter has them: those of the file, then one `DELEGATE` a delegated part.

        None where the runtime does not say; the package has no public function for it.
        """
        if self._list_operators is None:
            return None
        return tuple(
            (str(op["op_name"]), tuple(map(int, op["inputs"])), tuple(map(int, op["outputs"])))
            for op in self._list_operators()
        )

    def read(self, index: int) -> npt.NDArray[Any]:
        """Copy the values of tensor number `index` after `run`.

        Only inputs and outputs keep theirs, unless the file was opened with `preserve_all_tensors`.
        """
        values: npt.NDArray[Any] = self._get_tensor(index)
        return values

    def view(self, index: int) -> npt.NDArray[Any]:
        """Return the values of tensor number `index` where they lie, as `read` does without a copy.

        They are good until the next computation, which fails as long as someone holds them.
        """
        values: npt.NDArray[Any] = self._tensor(index)()
        return values


class TFLiteEngine(ABC):
    """Base of the engines whose package has the interpreter of TFLite; see `Engine`.

    Attributes:
        name: key in `ENGINES`.
        distribution: name of the package on the index, for its version.
    """

    name: str
    distribution: str

    @abstractmethod
    def load(self) -> Any:
        """Import the package; return what has `Interpreter` and `OpResolverType`.

        Raises:
            MissingExtraError: it is not installed.
            InputError: it does not work in this environment.
        """

    def check_available(self) -> None:
        """Import the package; raise InputError or MissingExtraError where it cannot be used here."""
        self.load()

    def open(
        self,
        file: ModelFile,
        *,
        threads: int = 1,
        preserve_all_tensors: bool = False,
        kernels: Kernels = "fast",
        also_read: Sequence[int] = (),
        as_stored: bool = False,
    ) -> TFLiteSession:
        """Check the file's integrity, and make it ready to run.

        The runtime gets 4-bit weights of int8 layers in eight bits, for which it has fast kernels, if it takes these.

        Args:
            file: the model.
            threads: number of threads, 1 to 256.
            preserve_all_tensors: keep what is inside the graph readable with `TFLiteSession.read`.
            kernels: which compute; the fast ones keep to themselves what lies between two of theirs.
            also_read: numbers of computed tensors of fixed size that stay readable with `TFLiteSession.read`, at the
                cost of their copy: the runtime gets a copy of the file in which they are outputs.
            as_stored: give it 4-bit weights as they are, as other programs do.

        Raises:
            DamagedModelError: the file is not what was written.
            ModelError: it is no TFLite file, the runtime refuses it, or it needs more memory than allowed.
            InputError: `threads` is not from 1 to 256, or the runtime cannot be used here.
        """
        check_threads(threads)
        file.check()
        if isinstance(file, OnnxFile):
            raise InputError(f"{file.name}: {self.name} runs .tflite files; run it with --runtime onnxruntime")
        graph = file.graph
        if not graph.inputs or not graph.outputs:
            raise ModelError(f"{file.name}: the graph has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs")
        if is_for_edge_tpu(file):
            raise ModelError(describe_edge_tpu(file))
        limits = ModelLimits.from_environment()
        limits.check(file)
        module = self.load()
        settings: dict[str, Any] = {}
        if preserve_all_tensors:
            settings["experimental_preserve_all_tensors"] = True
        if kernels != "fast":
            settings["experimental_op_resolver_type"] = getattr(module.OpResolverType, _RESOLVERS[kernels])
        further = [tensor for tensor in also_read if tensor not in graph.output_indices]
        content = file.content if as_stored else with_int8_weights(file.content, graph)
        try:
            native = _make_interpreter(module, content, further, num_threads=threads, **settings)
        except (RuntimeError, ValueError) as error:
            if content is file.content:
                raise ModelError(
                    f"{file.name}: {self.name} refuses it: {_first_line(error)}{describe_custom_operators(file)}"
                ) from error
            # the fast kernels refuse some scales that the plain ones, which take 4-bit weights, compute with
            return self.open(
                file,
                threads=threads,
                preserve_all_tensors=preserve_all_tensors,
                kernels=kernels,
                also_read=also_read,
                as_stored=True,
            )
        # What the file says of shapes need not be true; the runtime computes them, and has touched no memory yet.
        differing = _differing_shapes(native, graph)
        if not differing.keys().isdisjoint(also_read):
            raise ModelError(f"{file.name}: the runtime computes other shapes than the file has; make it again")
        if differing:
            limits.check(file, differing)
        return TFLiteSession(
            native,
            file,
            engine=self.name,
            engine_version=importlib.metadata.version(self.distribution),
            threads=threads,
            limits=None if is_predictable(graph) and not differing else limits,
            as_stored=content is file.content,
        )


def _make_interpreter(module: Any, content: bytes, further: Sequence[int], **settings: Any) -> Any:
    """Make an interpreter of the file's bytes, with further outputs, and allocate its tensors."""
    with without_chatter(*RUNTIME_CHATTER):
        native = module.Interpreter(model_content=with_outputs(content, further) if further else content, **settings)
        native.allocate_tensors()
    return native


def _differing_shapes(native: Any, graph: TfliteModel) -> dict[int, tuple[int, ...]]:
    """Return the shapes of computed tensors that the runtime has otherwise than the file."""
    found = {}
    for seen in native.get_tensor_details():
        index, shape = int(seen["index"]), tuple(int(size) for size in seen["shape"])
        if index < len(graph.tensors) and graph.tensors[index].data is None and graph.tensors[index].shape != shape:
            found[index] = shape
    return found


def _spec(tensor: TensorInfo) -> TensorSpec:
    return TensorSpec(tensor.name, tensor.shape, tensor.dtype, tensor.scale, tensor.zero_point)


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
