"""Measures the size of the program and the internal cost of one request, in this checkout or another one."""
