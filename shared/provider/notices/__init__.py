"""Notices: events and alerts told to people, whichever way: who they are, when, in which words."""
