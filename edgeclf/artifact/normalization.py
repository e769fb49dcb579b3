"""What happens to pixels before they enter a network: one value, its usual names, and the text that stands for it.

Imports no NumPy: the settings of `live` carry such a value, and its help shows their defaults.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from edgeclf.errors import InputError
from edgeclf.records import Record

CHANNEL_ORDERS = ("RGB", "BGR")
_LARGEST, _SMALLEST = 1e9, 1e-9
_SHOWN = 60
"""Characters of a wrong text that a message quotes."""


@dataclass(frozen=True)
class Normalization(Record):
    """`(pixel - mean) / std`, in the units of pixels (0..255); one value for all channels or one each.

    A network that carries its scaling inside takes the pixels as they are: mean 0, std 1.

    Args:
        mean: subtracted; 1 or 3 numbers.
        std: divided by; 1 or 3 numbers above 0.
        channel_order: of the network's input, `RGB` or `BGR` (blue first); mean and std stand in this order.

    Raises:
        InputError: there are other than 1 or 3 numbers, or they cannot be calculated with.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    channel_order: str = "RGB"

    def __post_init__(self) -> None:
        count = max(len(self.mean), len(self.std))
        if {len(self.mean), len(self.std)} - {1, count} or count not in (1, 3):
            raise InputError(
                f"a normalization has 1 or 3 numbers as mean and as std, got {len(self.mean)} and {len(self.std)}"
            )
        if not all(math.isfinite(m) and abs(m) <= _LARGEST for m in self.mean):
            raise InputError(f"the mean of a normalization must be numbers up to {_LARGEST:g}, got {self.mean}")
        if not all(_SMALLEST <= s <= _LARGEST for s in self.std):
            raise InputError(f"the std of a normalization must be {_SMALLEST:g} to {_LARGEST:g}, got {self.std}")
        if self.channel_order not in CHANNEL_ORDERS:
            raise InputError(f"channel_order must be RGB or BGR, got {self.channel_order!r}")
        for name in ("mean", "std"):
            numbers = tuple(float(number) for number in getattr(self, name))
            object.__setattr__(self, name, numbers if len(numbers) == count else numbers * count)

    @classmethod
    def from_range(cls, low: float, high: float) -> Normalization:
        """Make the normalization that takes 0 to `low` and 255 to `high`.

        Raises:
            InputError: `high` is not above `low`.
        """
        if not (math.isfinite(low) and math.isfinite(high) and high > low):
            raise InputError(f"input_range must be two rising numbers such as (0, 1), got ({low:g}, {high:g})")
        std = 255.0 / (high - low)
        return cls((0.0 - low * std,), (std,))

    @property
    def ranges(self) -> tuple[tuple[float, float], ...]:
        """What pixel values 0 and 255 become, for each channel of the network's input."""
        return tuple(((0.0 - m) / s, (255.0 - m) / s) for m, s in zip(self.mean, self.std, strict=True))

    @property
    def pair(self) -> tuple[float, float] | None:
        """What pixel values 0 and 255 become; None where that differs between channels, or blue comes first."""
        return self.ranges[0] if self.channel_order == "RGB" and len(set(self.ranges)) == 1 else None

    @property
    def limits(self) -> tuple[float, float]:
        """The lowest number that enters the network, and the highest."""
        return min(low for low, _ in self.ranges), max(high for _, high in self.ranges)

    @property
    def text(self) -> str:
        """A name or numbers that `parse_normalization` reads."""
        for name in ("caffe", "torch"):
            if NORMALIZATIONS[name] == self:
                return name
        if self.pair is not None:
            return "{:g}..{:g}".format(*self.pair)
        numbers = "/".join(",".join(f"{number:g}" for number in part) for part in (self.mean, self.std))
        return numbers if self.channel_order == "RGB" else f"{self.channel_order}:{numbers}"

    def agrees_with(self, other: Normalization) -> bool:
        """Return whether both take each pixel value to the same number, within one step of a pixel value."""
        if self.channel_order != other.channel_order:
            return False
        count = max(len(self.ranges), len(other.ranges))
        both = (one.ranges * (count // len(one.ranges)) for one in (self, other))
        return all(
            abs(one - known) <= (there[1] - there[0]) / 255 * 1.001
            for here, there in zip(*both, strict=True)
            for one, known in zip(here, there, strict=True)
        )


RAW = Normalization((0.0,), (1.0,))

NORMALIZATIONS: Mapping[str, Normalization] = MappingProxyType(
    {
        "caffe": Normalization((103.939, 116.779, 123.68), (1.0,), "BGR"),
        "torch": Normalization((255 * 0.485, 255 * 0.456, 255 * 0.406), (255 * 0.229, 255 * 0.224, 255 * 0.225)),
        "tf": Normalization.from_range(-1, 1),
        "0..1": Normalization.from_range(0, 1),
        "raw": RAW,
    }
)
"""The usual ones: `caffe`, `torch` and `tf` are those of `preprocess_input` in keras.applications."""

ALLOWED = (
    "caffe, torch, tf (-1..1), 0..1, raw, LO..HI, or MEAN/STD in units of pixel values, such as "
    "123.7,116.3,103.5/58.4,57.1,57.4 (R,G,B; BGR: in front for a network that takes blue first, numbers in that order)"
)
"""What `parse_normalization` reads, in words."""


def parse_normalization(text: str, option: str = "normalize") -> Normalization:
    """Read a name, a range `LO..HI`, or `[RGB:|BGR:]MEAN/STD` with 1 or 3 numbers each.

    Args:
        text: as typed; letter case does not matter.
        option: for the message.

    Raises:
        InputError: it is none of these.
    """
    word = text.strip().lower()
    if word in NORMALIZATIONS:
        return NORMALIZATIONS[word]
    try:
        low, separator, high = word.partition("..")
        if separator:
            return Normalization.from_range(float(low), float(high))
        order, separator, numbers = word.rpartition(":")
        mean, std = (tuple(map(float, part.split(","))) for part in numbers.split("/"))
        return Normalization(mean, std, order.upper() if separator else "RGB")
    except (ValueError, InputError):
        shown = text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
        raise InputError(f"{option} takes {ALLOWED}, got {shown!r}") from None


def resolve_normalization(
    normalize: str | Normalization | None, input_range: tuple[float, float] | None = None
) -> Normalization | None:
    """Make one value of what a user gave: a normalization or its text, or what pixel values 0 and 255 become.

    Returns:
        None where neither was given.

    Raises:
        InputError: both were given, or one cannot be read.
    """
    if normalize is None:
        return None if input_range is None else Normalization.from_range(*input_range)
    if input_range is not None:
        raise InputError(
            "normalize and input_range are two forms of one setting; give --normalize or --input-range, not both"
        )
    return normalize if isinstance(normalize, Normalization) else parse_normalization(str(normalize))
