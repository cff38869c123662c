"""What a call was about, as rows: topics."""
