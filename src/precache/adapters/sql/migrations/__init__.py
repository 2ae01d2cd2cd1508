"""The history of the tables, run by alembic. A released revision is never edited; the next one changes what it left."""
