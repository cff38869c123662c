"""Taking a call in: the carrier's requests and media sockets become rows and growing audio files."""
