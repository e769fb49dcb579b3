"""Everything that a run of `live` can be told, as one frozen value."""

from __future__ import annotations

from dataclasses import dataclass

from edgeclf.errors import InputError
from edgeclf.records import Record
from edgeclf.streaming.loop.geometry import Geometry
from edgeclf.streaming.loop.loop import Limits
from edgeclf.streaming.loop.smoothing import Smoothing

COLLECT_QUOTA_BYTES = 500_000_000


@dataclass(frozen=True)
class LiveSettings(Record):
    """How to look, and who is told.

    Args:
        camera: `0`, a device, a video file, a folder of images, an address, a GStreamer pipeline, or `picamera2`.
        size: width and height to ask of a camera, pixels.
        rate: frames a second to ask of a camera.
        every_frame: classify all frames of a file instead of the newest one.
        geometry: which part of a frame is looked at, and which way up.
        smoothing: how labels are told over time.
        limits: when to end.
        threads: of the interpreter; None: chosen by a short measurement.
        runtime: `litert`, `tflite-runtime` or `tensorflow`.
        input_range: input values that a network made elsewhere expects.
        web: `[HOST:]PORT` of the page; None: only where there is no window and nothing else to look at.
        token: asked of who opens the page from another machine; None: made, and told.
        window: open a window where there is a display.
        record: video file to write.
        overwrite: replace an existing one.
        collect: folder for frames that the model is unsure of.
        collect_quota: bytes that unsorted ones may take there.
        on_change: program that is run when the label changes.
        mqtt: `mqtt://HOST[:PORT][/TOPIC]` of a broker that is told.
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
    input_range: tuple[float, float] | None = None
    web: str | None = None
    token: str | None = None
    window: bool = True
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
        if self.rate is not None and not 0 < self.rate <= 1000:
            raise InputError(f"rate must be between 0 and 1000 frames a second, got {self.rate:g}")
        if self.size is not None and not all(1 <= side <= 16_384 for side in self.size):
            raise InputError(f"size must be WIDTHxHEIGHT in pixels, got {self.size[0]}x{self.size[1]}")
        if self.threads is not None and self.threads < 1:
            raise InputError(f"threads must be at least 1, got {self.threads}")
        if self.collect_quota < 1:
            raise InputError(f"collect_quota must be at least 1 byte, got {self.collect_quota}")
        if self.token is not None and self.web is None:
            raise InputError("a token is for the page: give --web [HOST:]PORT as well")
