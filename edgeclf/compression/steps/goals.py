"""What may stay of a network that is shrunk."""

from __future__ import annotations

from dataclasses import dataclass, fields

from edgeclf.graph.channels import ChannelGraph


@dataclass(frozen=True)
class Goals:
    """What may stay of a network; None: no limit.

    Args:
        macs: multiply-accumulates for one image.
        weights: of convolutions and dense layers, without biases.
        largest: values of the largest tensor that a layer makes for one image.
        nanoseconds: of the products, as they were timed (see `product_times`).
    """

    macs: int | None = None
    weights: int | None = None
    largest: int | None = None
    nanoseconds: int | None = None

    def exceeded_by(self, counted: Goals) -> bool:
        """Return whether a network that has `counted` has more than may stay."""
        pairs = [(getattr(self, one.name), getattr(counted, one.name)) for one in fields(self)]
        return any(most is not None and count is not None and count > most for most, count in pairs)

    def on_the_way(self, before: Goals, part: float) -> Goals:
        """Return what stays after a part of the way, of which equal parts leave equal fractions.

        Args:
            before: what the whole network has.
            part: of the way, up to 1.
        """
        return Goals(
            **{one.name: _between(getattr(before, one.name), getattr(self, one.name), part) for one in fields(self)}
        )


def count_goals(graph: ChannelGraph) -> Goals:
    """Count what a whole network has."""
    return Goals(graph.macs(), graph.weights(), graph.largest(), graph.nanoseconds())


def _between(before: int | None, after: int | None, part: float) -> int | None:
    if after is None or not before:
        return after
    return after if part == 1 else round(before * (after / before) ** part)
