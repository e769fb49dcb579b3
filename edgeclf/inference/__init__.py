"""Edge side: engines, predictors, and the classifier of a model file."""

from edgeclf.inference.engine import ENGINES, Engine
from edgeclf.inference.litert import LITERT
from edgeclf.inference.onnx_runtime import OnnxRuntime
from edgeclf.inference.tflite_runtime import TFLiteRuntime

_OWN: tuple[Engine, ...] = (LITERT, TFLiteRuntime(), OnnxRuntime())
ENGINES.update({engine.name: engine for engine in _OWN})
