"""Process-level services that every package uses: clock, counters, logging, tracing, retries, periodic jobs, tokens."""
