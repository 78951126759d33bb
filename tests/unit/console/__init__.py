"""The console as it is written."""
