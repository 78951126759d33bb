"""Particle: what its webhooks push, and its Cloud API."""
