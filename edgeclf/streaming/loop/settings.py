"""The settings of a run of `live`, as one frozen value that is made once and handed on whole.

Imported without NumPy, since `edgeclf live --help` shows their defaults.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from edgeclf.artifact.normalization import Normalization
from edgeclf.errors import InputError
from edgeclf.image.shape import check_fit
from edgeclf.records import Record
from edgeclf.streaming.loop.geometry import Geometry

COLLECT_QUOTA_BYTES = 500_000_000
DEFAULT_THRESHOLD = 0.5
"""Where neither the user nor the model's file names one."""


@dataclass(frozen=True)
class Smoothing(Record):
    """How the label follows the probabilities.

    Args:
        seconds: time constant of the exponential mean over the classes' probabilities; 0: each frame for itself.
        threshold: probability from which on a class is named; below it the scene is unknown, as it is where the named
            class stands for none of these. None: that of the model's file, else `DEFAULT_THRESHOLD`; 0: a class is
            always named, whatever the file says of features that are too far from known ones.
        hysteresis: a named class stays until its probability is this much below the threshold, or until another one
            leads by this much. Two classes that are about equally likely do not take turns then.
    """

    seconds: float = 0.3
    threshold: float | None = None
    hysteresis: float = 0.1

    def __post_init__(self) -> None:
        for name, most in (("seconds", 3600.0), ("threshold", 1.0), ("hysteresis", 1.0)):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= most:
                shown = "smoothing" if name == "seconds" else name
                raise InputError(f"{shown} must be between 0 and {most:g}, got {value:g}")


@dataclass(frozen=True)
class Limits(Record):
    """When the loop ends by itself; None: never.

    Args:
        frames: after so many results.
        seconds: after so long.
        max_fps: results a second at most.
    """

    frames: int | None = None
    seconds: float | None = None
    max_fps: float | None = None

    def __post_init__(self) -> None:
        for name, shown in (("frames", "frames"), ("seconds", "duration"), ("max_fps", "max-fps")):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InputError(f"{shown} must be above 0, got {value:g}")


@dataclass(frozen=True)
class LiveSettings(Record):
    """What a run of `live` looks at, how, and where its results go.

    Args:
        camera: `0`, a device, a video file, a folder of images, an address, a GStreamer pipeline, or `picamera2`.
        size: width and height to ask of a camera, pixels; None: 640 x 480.
        rate: frames a second to ask of a camera, or images a second of a folder; None: as fast as a camera is by
            default, an image a second.
        every_frame: classify all frames of a file instead of the newest one.
        geometry: which part of a frame is looked at, and which way up.
        smoothing: how the label follows the probabilities of the frames.
        limits: when to end.
        threads: of the interpreter; None: chosen by a short measurement.
        runtime: `litert`, `tflite-runtime`, `tensorflow`, or `onnxruntime` for `.onnx` files.
        normalization: how pixels enter a model whose file does not state it; None: chosen over the first frames.
        labels: class names in the order of the outputs, or a file with one a line; None: those in the model, or of
            `labels.txt` beside it.
        fit: how pictures of another shape come to the input of a model whose file does not state it: `stretch` (None),
            `crop` or `pad`.
        web: `[HOST:]PORT` of the page; None: one for this machine alone, only where there is no window, no JSON lines
            are written, and its address is logged: none with `--quiet`, nor from Python without a `progress`.
        token: required from viewers on other machines; None: generated, and logged.
        stay: keep the page up when a file or a folder has ended, until the run is stopped or `limits.seconds` are over.
        window: open a window where there is a display.
        heatmap: draw over the pictures of page, window and recording where the evidence for the label lies.
        record: video file to write; None: none.
        overwrite: replace an existing video file.
        collect: folder for frames that the model is unsure of; None: none are collected.
        collect_quota: bytes that unsorted images may take there.
        on_change: command that is run when the label changes; None: none.
        mqtt: `mqtt://HOST[:PORT][/TOPIC]` of a broker to publish to; None: none.

    Raises:
        InputError: a value is out of range, or has no effect without another one.
    """

    camera: str = "0"
    size: tuple[int, int] | None = None
    rate: float | None = None
    every_frame: bool = False
    geometry: Geometry = Geometry()
    smoothing: Smoothing = Smoothing()
    limits: Limits = Limits()
    threads: int | None = None
    runtime: str = "litert"
    normalization: Normalization | None = None
    labels: str | tuple[str, ...] | None = None
    fit: str | None = None
    web: str | None = None
    token: str | None = None
    stay: bool = False
    window: bool = True
    heatmap: bool = False
    record: str | None = None
    overwrite: bool = False
    collect: str | None = None
    collect_quota: int = COLLECT_QUOTA_BYTES
    on_change: str | None = None
    mqtt: str | None = None

    def __post_init__(self) -> None:
        # In Python one writes camera=0, as with OpenCV, or a Path, and web=8765.
        object.__setattr__(self, "camera", str(self.camera))
        object.__setattr__(self, "web", None if self.web is None else str(self.web))
        given = self.labels
        if given is not None:
            object.__setattr__(
                self, "labels", os.fsdecode(given) if isinstance(given, (str, os.PathLike)) else tuple(given)
            )
        if self.rate is not None and not 0 < self.rate <= 1000:
            raise InputError(f"rate must be between 0 and 1000 frames a second, got {self.rate:g}")
        if self.size is not None and not all(1 <= side <= 16_384 for side in self.size):
            raise InputError(f"size must be WIDTHxHEIGHT in pixels, got {self.size[0]}x{self.size[1]}")
        if self.threads is not None and self.threads < 1:
            raise InputError(f"threads must be at least 1, got {self.threads}")
        if self.fit is not None:
            check_fit(self.fit)
        if self.collect_quota < 1:
            raise InputError(f"collect_quota must be at least 1 byte, got {self.collect_quota}")
        if self.token is not None and self.web is None:
            raise InputError("a token is for the page: give --web [HOST:]PORT as well")
        if self.overwrite and self.record is None:
            raise InputError("--overwrite is for a recording: give --record FILE as well")
        if self.collect_quota != COLLECT_QUOTA_BYTES and self.collect is None:
            raise InputError("--collect-quota is for collected frames: give --collect DIR as well")
