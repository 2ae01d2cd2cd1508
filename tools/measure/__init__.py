"""Measures the size of the program and what one request costs inside it, on this checkout or on another one."""
