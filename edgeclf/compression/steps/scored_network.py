"""A network whose channels are scored: what the searches for widths choose from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgeclf.compression.steps.channel_choice import Widths, choose_channels, smallest_network
from edgeclf.compression.steps.goals import Goals
from edgeclf.graph.channels import ChannelGraph
from edgeclf.graph.float_network import FloatNetwork
from edgeclf.graph.remove_channels import remove_channels


@dataclass(frozen=True)
class ScoredNetwork:
    """A network and what decides which of its channels go.

    Attributes:
        network: whose channels go.
        graph: its channels.
        scores: float64[graph.count], by which they go.
        widths: that layers may have.
    """

    network: FloatNetwork
    graph: ChannelGraph
    scores: npt.NDArray[np.float64]
    widths: Widths

    def choose(self, goals: Goals) -> npt.NDArray[np.bool_]:
        """Choose the channels that stay: bool[graph.count]."""
        return choose_channels(self.graph, self.scores, goals, self.widths)

    def choose_least(self) -> npt.NDArray[np.bool_]:
        """Return the channels that stay where each layer keeps the fewest: bool[graph.count]."""
        return smallest_network(self.graph, self.widths)

    def cut(self, kept: npt.NDArray[np.bool_]) -> FloatNetwork:
        """Make the network of the channels `kept`, bool[graph.count], which is not trained yet."""
        return self.network.with_model(remove_channels(self.network.model, self.graph, kept))
