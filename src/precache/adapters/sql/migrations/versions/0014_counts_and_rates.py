"""Keep the numbers of tasks by image and standing, the sizes of images, and the rates of running tasks.

The kept numbers replace `job_outcomes`, which had those of ended jobs only. All processes of the release before must be
stopped: they would change tasks without changing the numbers.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")
INSTANT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")

# Running tasks have no sums: their bytes are read from their rows.
COUNTED = """
INSERT INTO job_counts (job, image_position, standing, tasks, bytes_done, bytes_total)
SELECT job, image_position, COALESCE(outcome, state), COUNT(*),
    SUM(CASE WHEN state = 'running' THEN 0 ELSE bytes_done END),
    SUM(CASE WHEN state = 'running' THEN 0 ELSE bytes_total END)
FROM tasks GROUP BY job, image_position, COALESCE(outcome, state)"""


def upgrade() -> None:
    op.add_column("job_images", sa.Column("size_bytes", sa.BigInteger))
    op.add_column("tasks", sa.Column("reported_at", INSTANT))
    op.add_column("tasks", sa.Column("rate_bytes_per_s", sa.BigInteger))
    op.create_table(
        "job_counts",
        sa.Column("job", NUMBER, sa.ForeignKey("jobs.number"), primary_key=True),
        sa.Column("image_position", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("standing", sa.String(32), primary_key=True),
        sa.Column("tasks", sa.Integer, nullable=False),
        sa.Column("bytes_done", sa.BigInteger, nullable=False),
        sa.Column("bytes_total", sa.BigInteger, nullable=False),
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mariadb_engine="InnoDB",
        mariadb_charset="utf8mb4",
        mariadb_collate="utf8mb4_bin",
    )
    op.execute(COUNTED)
    op.drop_table("job_outcomes")
