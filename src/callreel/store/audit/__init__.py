"""The audit trail as rows: entries, open accesses, and the entry of the current request or command."""
