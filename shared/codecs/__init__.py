"""Payload codecs: an organization's own decoders, run in child processes with limits.

A `codec.Codec` turns bodies into JSON and messages, and commands and events into bodies; `contract` has the words. Its
source is never trusted: whatever its kind, it runs in a process of its own (`sandbox/`) that has no environment, no
files and no network, and is killed at its deadline. Providers use this room; it knows no provider and no database. See
docs/codecs.md. Nothing is imported here, for the child's sake: it starts with what stands in this package.
"""
