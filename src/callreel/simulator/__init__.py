"""The simulated carrier: places calls, signs and fails like the carrier, by configuration."""
