"""What a call was about: its topic and the moments worth a jump, from its text; questions to a language model. Pure."""
