"""Lists the TFLite formats by name; nothing else does."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from edgeclf.compression.export.float_formats import DYNAMIC, FLOAT16, FLOAT32
from edgeclf.compression.export.int4_format import INT4
from edgeclf.compression.export.int8_format import INT8
from edgeclf.compression.export.int16x8_format import INT16X8
from edgeclf.compression.export.tflite_format import TFLiteFormat

FORMATS: Mapping[str, TFLiteFormat] = MappingProxyType(
    {format.name: format for format in (FLOAT32, FLOAT16, DYNAMIC, INT8, INT16X8, INT4)}
)
