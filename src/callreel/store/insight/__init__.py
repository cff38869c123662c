"""What a call was about, as rows: topics, kinds of moments, analyses by a language model, and the instructions of labels."""
