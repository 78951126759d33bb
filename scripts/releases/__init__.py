"""Releases: which migrations they froze, and what has to be so before one is made."""
