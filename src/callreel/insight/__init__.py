"""What a call was about, from its text: its topic, and the moments worth a jump. Pure."""
