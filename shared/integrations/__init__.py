"""Integrations: their records, their sealed configs, what is below their path."""
