"""A transcript or a call as a document for people and programs: text, JSON."""
