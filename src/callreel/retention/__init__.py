"""Retention of calls: archive, offload, legal hold, erasure, deletion at the carrier."""
