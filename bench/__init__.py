"""Measurements of Precache; not part of the installed package. Methods: `README.md`; results: `results/`."""
