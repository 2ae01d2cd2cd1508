"""Builds the objects of one process, top to bottom, and runs it. Only this layer and `doctor` know all others."""
