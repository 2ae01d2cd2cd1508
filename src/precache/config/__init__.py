"""Configuration: files and environment are read once at start into frozen dataclasses."""
