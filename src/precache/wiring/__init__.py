"""Builds the objects of one process, top to bottom, and runs it. The only place that knows all the others."""
