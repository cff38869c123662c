"""Processes of one installation: registry, leader election, event bus and relay between processes."""
