"""Golioth's own ways, for shared/providers/golioth.py."""
