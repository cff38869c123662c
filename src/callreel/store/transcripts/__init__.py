"""Rows about the text of calls: transcripts, revisions, search, custom vocabulary."""
