"""The callreel command, one module a group."""
