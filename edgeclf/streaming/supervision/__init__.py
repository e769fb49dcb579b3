"""What keeps a run healthy: threads beside the loop, problems, release at the end, systemd, the board's sensors."""
