"""The leaderboard: finished cells of any origin, ranked where they may be, with what is not known."""
