"""Calls that were recorded before Callreel, or elsewhere: taken in from the carrier's account and from files."""
