"""The simulated carrier's REST API: the part of the v2010 API that concerns calls, streams and recordings."""
