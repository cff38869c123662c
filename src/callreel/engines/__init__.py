"""Speech engines, one module each and imported on demand, and the host that runs them in processes of their own."""
