"""Secrets that sing: planted in every config, looked for in everything that comes out."""
