"""Routes of scorecards: the forms, the reviews of a call, the results."""
