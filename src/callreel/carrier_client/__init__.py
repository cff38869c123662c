"""The carrier's REST API as the server uses it."""
