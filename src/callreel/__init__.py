"""Callreel records, live-transcribes and reviews a team's phone calls on its own machines."""

__version__ = "0.1.0"
