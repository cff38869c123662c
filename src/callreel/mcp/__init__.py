"""The MCP server: calls, transcripts and notes for programs with a language model, read only, through the server's API."""
