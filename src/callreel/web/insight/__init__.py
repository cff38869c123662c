"""Routes about what a call was about."""
