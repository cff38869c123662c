"""What a call was about: its topic and its important moments, from its text; questions to a language model. Pure."""
