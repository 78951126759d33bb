"""Firmware and its rollouts."""
