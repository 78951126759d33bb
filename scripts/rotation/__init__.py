"""What scripts/rotate-keys runs."""
