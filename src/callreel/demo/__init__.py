"""`callreel demo`: one whole call on this machine, watched in the terminal."""
