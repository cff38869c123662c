"""The browser softphone side of the simulated carrier: signaling socket and WebRTC."""
