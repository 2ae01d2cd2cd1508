"""Handlers, one file per noun. A handler runs after the checks, calls a port and renders its result."""
