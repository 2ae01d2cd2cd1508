"""The commands, one file per noun. Each is registered by name in pyproject.toml and imported when it is run."""
