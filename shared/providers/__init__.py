"""The integration types: every module in this folder is one, found by its name."""
