"""Tools of the repository, run from its root as `python -m tools.<name>`; no part of the installed package."""
