"""Voices and tones on the stand-in carrier's calls."""
