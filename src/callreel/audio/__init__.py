"""Samples: mu-law, timelines, WAV headers, resampling, segments, levels, alignment. Arrays in, arrays out."""
