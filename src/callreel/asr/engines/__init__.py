"""Speech engines, one module each, imported on demand."""
