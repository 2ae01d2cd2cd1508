"""Fuzzers that are guided by coverage. `make test-long` runs them in an environment of their own, var/fuzzing/venv."""
