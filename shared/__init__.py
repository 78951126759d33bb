"""What the functions share; imports go down only (see pyproject.toml, import-linter)."""
