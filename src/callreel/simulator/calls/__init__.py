"""Calls of the simulated carrier: TwiML interpreter, dialling, streams, recordings."""
