"""The migrations of the tables, run by alembic. A released revision is never edited; add a new one instead."""
