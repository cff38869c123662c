"""Reviewing calls with scorecards: forms and their versions, reviews, disputes, results."""
