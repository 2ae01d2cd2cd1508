"""Waiting for a job: look again and again, show what changed, say at the end how it went."""
