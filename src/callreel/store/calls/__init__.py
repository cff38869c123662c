"""Rows about calls: one module a table or a noun."""
