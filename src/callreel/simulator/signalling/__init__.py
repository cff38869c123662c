"""The stand-in carrier's browser softphone side: signalling socket and WebRTC."""
