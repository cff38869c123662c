"""Running an installation: health, metrics, integrity check, backup, diagnosis."""
