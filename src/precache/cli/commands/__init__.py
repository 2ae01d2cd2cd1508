"""The commands, one file per noun. pyproject.toml registers each by name; it is imported when it is run."""
