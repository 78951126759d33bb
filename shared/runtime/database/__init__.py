"""The one way to the project."""
