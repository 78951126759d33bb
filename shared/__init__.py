"""What the functions share; imports go down only (see pyproject.toml, import-linter)."""

__version__ = "0.1.0"
