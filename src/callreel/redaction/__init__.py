"""Finding sensitive data in transcripts, masking it in text, and silencing it in audio. No I/O."""
