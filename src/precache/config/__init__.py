"""Configuration: files and environment in, frozen dataclasses out, once at start."""
