"""Speech recognition: the engine contract and the live policy (no I/O), engines, and their worker processes."""
