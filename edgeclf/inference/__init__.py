"""Edge side: engines, predictors, and the classifier of a model file."""

from edgeclf.inference.engine import ENGINES
from edgeclf.inference.litert import LITERT
from edgeclf.inference.tflite_runtime import TFLiteRuntime

ENGINES.update({engine.name: engine for engine in (LITERT, TFLiteRuntime())})
