"""Audio files: growing WAV files, finished blobs, object store."""
