"""The JSON API: one router per noun."""
