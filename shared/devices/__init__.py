"""Devices at the other side."""
