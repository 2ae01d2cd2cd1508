"""The ports of `ports/job_store.py` on SQL, one file for each port."""

from precache.adapters.jobs_sql.claims import SqlJobClaims
from precache.adapters.jobs_sql.intake import SqlJobIntake
from precache.adapters.jobs_sql.leases import SqlJobLeases
from precache.adapters.jobs_sql.notices import SqlDeliveryQueue, SqlNoticeOutbox
from precache.adapters.jobs_sql.progress import SqlProgressLog
from precache.adapters.jobs_sql.purge import SqlJobPurge
from precache.adapters.jobs_sql.queries import SqlJobQueries
from precache.adapters.jobs_sql.rates import SqlTransferRates
from precache.adapters.jobs_sql.snapshots import SqlJobSnapshots
from precache.adapters.jobs_sql.steering import SqlJobSteering

__all__ = [
    "SqlDeliveryQueue",
    "SqlJobClaims",
    "SqlJobIntake",
    "SqlJobLeases",
    "SqlJobPurge",
    "SqlJobQueries",
    "SqlJobSnapshots",
    "SqlJobSteering",
    "SqlNoticeOutbox",
    "SqlProgressLog",
    "SqlTransferRates",
]
