"""The browser softphone side of the simulated carrier: signalling socket and WebRTC."""
