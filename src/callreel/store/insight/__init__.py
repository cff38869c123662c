"""What a call was about, as rows: topics, and analyses by a language model."""
