"""Routes that organize many calls: labels, review and assignment, saved filters, changes of many calls at once."""
