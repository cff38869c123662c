"""Storage of rows and audio: the database with its migrations, growing layer files, finished files, object store."""
