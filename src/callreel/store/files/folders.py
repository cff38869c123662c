"""Folders of audio below the data folder, and of the object store."""

LIVE = "audio_recordings"
CLOUD = "twilio_recordings"
AUDIO = (LIVE, CLOUD)
UNCLAIMED = "unclaimed"
"""Files that no row names are moved here."""
