"""The processes in which speech engines run, and the host that distributes work to them."""
