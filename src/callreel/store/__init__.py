"""Where rows and audio are kept: the database with its migrations, growing layer files, finished blobs."""
