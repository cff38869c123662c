"""Calls that the stand-in carrier runs: TwiML interpreter, dialling, streams, recordings."""
