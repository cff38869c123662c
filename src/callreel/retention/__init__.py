"""How long what is kept: archive, offload, legal hold, erasure, deletion at the carrier."""
