"""Writes a transcript as a file: plain text, subtitles, CSV, JSON."""
