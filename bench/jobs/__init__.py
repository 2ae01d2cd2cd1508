"""Measures how soon jobs obey an operator, and how fast they can be read meanwhile."""
