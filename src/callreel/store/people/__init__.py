"""Rows about people: accounts, API tokens, technicians."""
