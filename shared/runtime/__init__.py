"""What everything runs on: errors, settings, logs, the way in, the way out, the database, the vault."""
