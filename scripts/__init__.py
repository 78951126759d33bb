"""Command-line programs of the project; the files without an ending are the interface."""
