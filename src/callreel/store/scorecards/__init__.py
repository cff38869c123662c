"""Scorecards and reviews of calls, as rows."""
