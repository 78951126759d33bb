"""Devices made here and created at their provider, with the credentials they sign in there with."""
