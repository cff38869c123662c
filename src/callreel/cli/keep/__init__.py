"""Commands of the panel *Keep*: work on recorded calls, mostly without a running server."""
