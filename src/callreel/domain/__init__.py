"""Values and rules of a recorded call. No I/O, no clock, no library beyond the standard one."""
