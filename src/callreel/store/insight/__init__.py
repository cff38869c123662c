"""What a call was about, as rows: topics, kinds of moments, and analyses by a language model."""
