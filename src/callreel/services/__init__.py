"""Use cases: taking calls in, hearing them live, fetching and judging recordings. Ports to the outside are arguments."""
