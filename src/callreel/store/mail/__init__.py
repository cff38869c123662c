"""Mail as rows: who was sent the report of a week."""
