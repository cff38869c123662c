"""The rules of scorecards: questions, points, comparison of reviews, disputes, results. Pure."""
