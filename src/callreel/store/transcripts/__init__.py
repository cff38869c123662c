"""Rows about what was said: transcripts, revisions, search, custom vocabulary."""
