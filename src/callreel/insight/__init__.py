"""What a call was about, from its text: the moments worth a jump. Pure."""
