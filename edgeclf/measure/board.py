"""Sensors of the board: temperature, clock, and what slows a Raspberry Pi down.

The throttle bits are those of the firmware's mailbox property GET_THROTTLED, which `vcgencmd get_throttled` shows too.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from edgeclf.records import Record

THROTTLE_BITS = {0: "under-voltage", 1: "frequency capped", 2: "throttled", 3: "soft temperature limit"}
"""What the lowest bits mean now; the same bits 16 places higher: that it happened since the board was started."""

_HAPPENED = 16
_PROGRAM_SECONDS = 2.0
# A Raspberry Pi 5 calls its `soc` by an address.
_FIRMWARE_FILES = "sys/devices/platform/soc*/soc*:firmware/get_throttled"


@dataclass(frozen=True)
class BoardReading(Record):
    """One look at the sensors. What the board does not report is None.

    Attributes:
        temperature_celsius: of the processor.
        clock_mhz: that the kernel has set for the first core; a throttled board may run slower.
        throttled: what slows the board down at this moment (values of `THROTTLE_BITS`); empty: nothing.
        throttled_since_start: what did so at any time since the board was started.
    """

    temperature_celsius: float | None
    clock_mhz: float | None
    throttled: tuple[str, ...] | None
    throttled_since_start: tuple[str, ...] | None

    def has_sensors(self) -> bool:
        """Return whether there is any sensor at all."""
        return any(value is not None for value in (self.temperature_celsius, self.clock_mhz, self.throttled))


@dataclass(frozen=True)
class BoardReadings(Record):
    """The board's sensors before the first and after the last measurement."""

    before: BoardReading
    after: BoardReading

    @property
    def slowed_by(self) -> tuple[str, ...]:
        """What slowed the board down at either look, or at any time between the two."""
        known = self.before.throttled_since_start
        between = [flag for flag in self.after.throttled_since_start or () if known is not None and flag not in known]
        return tuple(dict.fromkeys([*(self.before.throttled or ()), *(self.after.throttled or ()), *between]))


def read_board(root: Path | str = "/") -> BoardReading:
    """Read the sensors; never fails, and takes less than a millisecond where no program must be started.

    Args:
        root: the folder that holds `sys`.
    """
    bits = throttle_bits(root)
    return BoardReading(
        temperature_celsius=read_temperature(root),
        clock_mhz=_thousandths(root, "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq"),
        throttled=None if bits is None else _names(bits),
        throttled_since_start=None if bits is None else _names(bits >> _HAPPENED),
    )


def read_temperature(root: Path | str = "/") -> float | None:
    """Read the processor's temperature, degrees Celsius; starts no program."""
    return _thousandths(root, "sys/class/thermal/thermal_zone0/temp")


def throttle_bits(root: Path | str = "/") -> int | None:
    """Read the firmware's bits from the kernel, else from `vcgencmd`; None where neither has them."""
    for path in sorted(Path(root).glob(_FIRMWARE_FILES)):
        bits = _hexadecimal(_text(path))
        if bits is not None:
            return bits
    program = shutil.which("vcgencmd")
    return None if program is None else _ask(program)


def _ask(program: str) -> int | None:
    try:
        done = subprocess.run(
            [program, "get_throttled"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PROGRAM_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None  # not a Raspberry Pi after all, or this user may not ask: the group `video` may
    return _hexadecimal(done.stdout.decode(errors="replace").rpartition("=")[2])


def _names(bits: int) -> tuple[str, ...]:
    return tuple(name for bit, name in THROTTLE_BITS.items() if bits >> bit & 1)


def _thousandths(root: Path | str, path: str) -> float | None:
    text = _text(Path(root) / path).strip()
    return int(text) / 1000 if re.fullmatch(r"-?[0-9]+", text) else None


def _hexadecimal(text: str) -> int | None:
    found = re.fullmatch(r"(?:0x)?([0-9a-fA-F]+)", text.strip())
    return int(found[1], 16) if found else None


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
