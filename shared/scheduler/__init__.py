"""One tick, the worker, and what is forgotten."""
