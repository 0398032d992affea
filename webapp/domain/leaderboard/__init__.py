"""The leaderboard: snapshots are built, boards are read from them."""
