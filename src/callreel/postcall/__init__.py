"""Durable work after a call: download, split, transcribe, compare, measure, reconcile."""
