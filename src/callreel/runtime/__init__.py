"""Small things that every process needs and that depend on nothing: clock, counters, tracing, retry, tokens."""
