"""HTTP and WebSocket: the carrier's routes, the API, the pages, sign-in, live events."""
