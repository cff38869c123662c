"""Voices and tones of simulated calls."""
