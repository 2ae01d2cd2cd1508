"""Measurements of Precache; no part of the installed package. `README.md` has the methods, `results/` what came out."""
