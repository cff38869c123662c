"""Scoring speech engines on recordings whose words are known."""
