"""Messages in: polled sessions and pushed requests."""
