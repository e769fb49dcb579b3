"""Which network a board can carry: limits, what candidates cost, and the choice among them."""
