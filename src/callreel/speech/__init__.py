"""What an engine is, when it is asked (live policy), and how its segments become turns. No engine lives here."""
