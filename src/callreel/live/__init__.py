"""The live transcript of a call: endpointing, decoding, interim and final results."""
