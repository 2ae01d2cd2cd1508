"""Waiting for a job: poll it, show the changes, and report the result."""
