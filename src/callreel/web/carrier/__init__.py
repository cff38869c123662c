"""The carrier's webhook routes."""
