"""The machine that a figure was measured on, as far as the system reports it."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

from edgeclf.measure.board import read_temperature
from edgeclf.records import Record
from edgeclf.versions import package_version

ONEDNN_VARIABLE = "TF_ENABLE_ONEDNN_OPTS"
"""Of the environment: 1 asks TensorFlow for the kernels of oneDNN, 0 for its own. It reads it once, when imported."""
_PACKAGES = ("ai-edge-litert", "tflite-runtime", "tensorflow", "tf-keras", "numpy", "opencv-python")
# Instructions for dot products of bytes on x86 and on Arm.
_INT8_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimd", "asimddp", "i8mm", "sve")

BUSY_LOAD_PER_CORE = 0.5
"""Load average a core from which on other programs are said to run."""


@dataclass(frozen=True)
class Machine(Record):
    """What was measured on. What the system does not report is None.

    `cores` counts the cores that this process may use; `load_average` is that of the last minute when measuring began,
    0 on an idle machine.
    """

    cpu: str
    architecture: str
    cores: int
    cpu_flags: tuple[str, ...]
    memory_bytes: int | None
    os: str
    kernel: str
    python: str
    packages: dict[str, str]
    governor: str | None
    temperature_celsius: float | None
    load_average: float | None

    @property
    def is_busy(self) -> bool:
        """Whether other programs ran when measuring began, so that latencies may be higher than on an idle machine."""
        return is_busy_at(self.load_average, self.cores)

    @property
    def processor(self) -> str:
        """The processor with its instructions for int8, without which two of one name may differ several times."""
        return f"{self.cpu} with {', '.join(self.cpu_flags)}" if self.cpu_flags else self.cpu


def is_busy_at(load_average: float | None, cores: int) -> bool:
    """Return whether other programs run at a load of `cores`; no where the load is not known."""
    return load_average is not None and load_average > BUSY_LOAD_PER_CORE * cores


def describe_machine() -> Machine:
    """Describe this machine; never fails, and starts no other program."""
    known = processor_flags()
    return Machine(
        cpu=_cpu_name(),
        architecture=platform.machine(),
        cores=usable_cores(),
        cpu_flags=tuple(flag for flag in _INT8_FLAGS if flag in known),
        memory_bytes=_memory(),
        os=_os_name(),
        kernel=platform.release(),
        python=platform.python_version(),
        packages=_versions(),
        governor=_first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        temperature_celsius=read_temperature(),
        load_average=load_average(),
    )


def usable_cores() -> int:
    """Count the cores that this process may run on: fewer than the machine has in a container or under taskset."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def load_average() -> float | None:
    """Return the load of the last minute, 0 on an idle machine; None where the system does not report it."""
    try:
        return round(os.getloadavg()[0], 2)
    except OSError:
        return None


def processor_flags() -> frozenset[str]:
    """List the instruction sets that the processor has, as the kernel calls them."""
    fields = _cpuinfo()
    return frozenset((fields.get("flags") or fields.get("Features") or "").split())


def _cpu_name() -> str:
    board = _first_line("/proc/device-tree/model")
    fields = _cpuinfo()
    # Arm kernels give no model name; there the board is more specific than the instruction set.
    return board or fields.get("model name") or fields.get("Model") or platform.processor() or platform.machine()


def _cpuinfo() -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in _text("/proc/cpuinfo").splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    return fields


def _memory() -> int | None:
    for line in _text("/proc/meminfo").splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return None


def _os_name() -> str:
    for line in _text("/etc/os-release").splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip('"')
    return f"{platform.system()} {platform.release()}"


def _versions() -> dict[str, str]:
    found = {package: package_version(package) for package in _PACKAGES}
    return {package: version for package, version in found.items() if version is not None}


def _first_line(path: str) -> str | None:
    lines = _text(path).splitlines()
    return lines[0].strip("\0 \t") or None if lines else None


def _text(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""
