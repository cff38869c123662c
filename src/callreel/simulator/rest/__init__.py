"""The stand-in carrier's REST API."""
