"""What people see of a call and add to it: summary, costs, notes, corrections, exports, statistics."""
