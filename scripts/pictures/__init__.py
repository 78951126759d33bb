"""Pictures of the console's screens."""
