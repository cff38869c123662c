"""Samples: mu-law, jitter buffer, WAV headers, resampling, segments, levels, alignment. Arrays in, arrays out."""
