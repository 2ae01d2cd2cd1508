"""The tables, as the newest migration leaves them.

A task joins one `job_hosts` row and one `job_images` row, by their positions in the request. Its row has some thirty
bytes and is stored in the order in which it is read. A job of 10,000 hosts is stored by one statement that joins the
two lists.

Order of locks: a transaction that changes tasks locks the row of their job first; rows of several jobs in the order of
their numbers. Progress is the exception: it locks no job and is one statement per job, which commits by itself. So a
process that is halted during a change holds only rows of its own jobs. An exchange of permits locks its row of `locks`
first, and no row of `jobs`. A change of a relay locks its row of `relays` first, and no row of another table but its
members. What changes the stored caches locks theirs first; the deletion of hosts, too, before it
locks the hosts.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    text,
)

from precache.adapters.sql.types import (
    ENTRY,
    LONG_TEXT,
    NAME,
    NUMBER,
    UUID,
    Instant,
    Options,
    Orders,
    TargetText,
    TextMap,
    one_of,
)
from precache.core.cache_entries import EntryState, Verification
from precache.core.cache_inventory import NUMBER_NAMES
from precache.core.job_notices import JobEvent
from precache.core.jobs import JobState, Outcome, Phase, TaskState
from precache.core.operations import Operation
from precache.core.relays import Form, MemberState

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
    }
)

# Names are compared exactly on every database; by default MariaDB ignores case and accents.
_EXACT: dict[str, Any] = {
    f"{dialect}_{option}": value
    for dialect in ("mysql", "mariadb")
    for option, value in (("engine", "InnoDB"), ("charset", "utf8mb4"), ("collate", "utf8mb4_bin"))
}


def _numbers() -> list[Column[int]]:
    return [Column(name, BigInteger, nullable=False) for name in NUMBER_NAMES]


def _is_server(*_of: Any, dialect: Dialect, **_more: Any) -> bool:
    return dialect.name != "sqlite"


cells = Table(
    "cells",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", NAME, nullable=False, unique=True),
    # Encrypted: it holds the password of the cell's bus.
    Column("transport_url", LONG_TEXT),
    **_EXACT,
)

hosts = Table(
    "hosts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", NAME, nullable=False, unique=True),
    Column("cell_id", ForeignKey("cells.id")),
    Column("driver", NAME, nullable=False),
    Column("forced_down", Boolean, nullable=False),
    Column("last_seen", Instant),
    # The default is for the previous release, which inserts hosts without it.
    Column("rpc_version", NAME, nullable=False, server_default=text("''")),
    Column("release", NAME, nullable=False, server_default=text("''")),
    # None for hosts that name none, which belong to the site of their cell.
    Column("site", NAME),
    # By the metadata of an aggregate; None if none gives one to the host.
    Column("aggregate_site", NAME),
    # None for hosts of the previous release, and for those whose cache is no directory.
    Column("cache_id", NAME),
    **_EXACT,
)

aggregates = Table(
    "aggregates",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("uuid", UUID, nullable=False, unique=True),
    Column("name", NAME, nullable=False, unique=True),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant),
    # Clients may keep an id for long: the id of a deleted aggregate is never reused.
    sqlite_autoincrement=True,
    **_EXACT,
)

aggregate_hosts = Table(
    "aggregate_hosts",
    metadata,
    Column("id", NUMBER, primary_key=True),
    Column("aggregate_id", ForeignKey("aggregates.id"), nullable=False),
    Column("host_id", ForeignKey("hosts.id"), nullable=False),
    UniqueConstraint("aggregate_id", "host_id"),
    # Hosts are listed in the order in which they were added, which is the order of these ids.
    sqlite_autoincrement=True,
    **_EXACT,
)

aggregate_metadata = Table(
    "aggregate_metadata",
    metadata,
    Column("aggregate_id", ForeignKey("aggregates.id"), primary_key=True),
    Column("key", NAME, primary_key=True),
    Column("value", NAME, nullable=False),
    **_EXACT,
)

jobs = Table(
    "jobs",
    metadata,
    Column("number", NUMBER, primary_key=True),
    Column("id", UUID, nullable=False, unique=True),
    # The default is for the previous release, whose jobs cache images.
    Column("operation", one_of(Operation), nullable=False, server_default=text("'cache'")),
    # No foreign key: the record of a job outlives its aggregate. 0 and empty text unless the target is one aggregate.
    Column("aggregate_id", Integer, nullable=False),
    Column("aggregate_uuid", UUID, nullable=False),
    Column("aggregate_name", NAME, nullable=False),
    Column("state", one_of(JobState), nullable=False),
    Column("task_count", Integer, nullable=False),
    Column("requested_by", NAME, nullable=False),
    Column("request_id", NAME, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("started_at", Instant),
    Column("finished_at", Instant),
    Column("lease_owner", NAME),
    Column("lease_until", Instant),
    # The host of a job for one host.
    Column("for_host", NAME),
    # Grows with every claim. The default is for the previous release, which inserts jobs without it.
    Column("lease_token", Integer, nullable=False, server_default=text("0")),
    # The `lease_token` of the last claim by a conductor that does what `operation` says. The constraint below refuses
    # all others; their releases do not set it.
    Column("operation_token", Integer, nullable=False, server_default=text("0")),
    # The last claim at whose end no host worked for the job.
    Column("stopped_token", Integer, nullable=False, server_default=text("0")),
    # The image and its options; none in jobs of the previous release, whose images are only in `job_images`.
    Column("orders", Orders),
    # As it was at the request; none in jobs of the previous release.
    Column("aggregate_metadata", TextMap),
    Column("cancel_requested_at", Instant),
    Column("name", NAME),
    # None in jobs of the previous release, which are for one aggregate or one host.
    Column("target", TargetText),
    # SHA-256, in hexadecimal, of the caller's key and of the body of its request.
    Column("idempotency_key", String(64)),
    Column("idempotency_body", String(64)),
    # None in jobs of the previous release.
    Column("options", Options),
    # A copy of the option, for the order of claims.
    Column("priority", Integer, nullable=False, server_default=text("50")),
    Column("due_at", Instant),
    Column("pause_requested_at", Instant),
    Column("retry_count", Integer, nullable=False, server_default=text("0")),
    Column("revision", Integer, nullable=False, server_default=text("0")),
    Column("reason", NAME, nullable=False, server_default=text("''")),
    # Not on SQLite, which cannot add one to a table; there one process alone uses the file.
    CheckConstraint(
        "operation = 'cache' OR state <> 'running' OR operation_token = lease_token",
        name="conductor_too_old_for_operation",
    ).ddl_if(callable_=_is_server),
    # For lists.
    Index("ix_jobs_name", "name"),
    Index("ix_jobs_finished", "finished_at", "number"),
    Index("ix_jobs_priority", "priority", "number"),
    Index("ix_jobs_idempotency_key", "idempotency_key", unique=True),
    Index("ix_jobs_newest", "created_at", "number"),
    # For claims and for the list of one state. Few jobs run at once, so that leases need no index.
    Index("ix_jobs_state", "state", "created_at", "number"),
    sqlite_autoincrement=True,
    **_EXACT,
)

job_hosts = Table(
    "job_hosts",
    metadata,
    Column("job", ForeignKey("jobs.number"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("host", NAME, nullable=False),
    Column("cell", NAME),
    UniqueConstraint("job", "host"),
    Index("ix_job_hosts_host", "host", "job"),
    **_EXACT,
)

# Those that the request named, to find jobs by them; the whole target is in `jobs`.
job_aggregates = Table(
    "job_aggregates",
    metadata,
    Column("job", ForeignKey("jobs.number"), primary_key=True),
    Column("name", NAME, primary_key=True),
    Index("ix_job_aggregates_name", "name", "job"),
    **_EXACT,
)

job_images = Table(
    "job_images",
    metadata,
    Column("job", ForeignKey("jobs.number"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("image", UUID, nullable=False),
    # As it was at the time of the request.
    Column("name", NAME),
    # Of the download; none if it was not known.
    Column("size_bytes", BigInteger),
    UniqueConstraint("job", "image"),
    Index("ix_job_images_image", "image", "job"),
    **_EXACT,
)

tasks = Table(
    "tasks",
    metadata,
    Column("job", ForeignKey("jobs.number"), primary_key=True),
    Column("host_position", Integer, primary_key=True, autoincrement=False),
    Column("image_position", Integer, primary_key=True, autoincrement=False),
    Column("state", one_of(TaskState), nullable=False),
    Column("outcome", one_of(Outcome)),
    Column("phase", one_of(Phase), nullable=False),
    Column("bytes_done", BigInteger, nullable=False),
    Column("bytes_total", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("failures", Integer, nullable=False, server_default=text("0")),
    Column("reason", LONG_TEXT, nullable=False),
    Column("started_at", Instant),
    Column("finished_at", Instant),
    # Of the last report on a running task.
    Column("reported_at", Instant),
    Column("rate_bytes_per_s", BigInteger),
    # Of tasks by swarm: the host that they receive from, and from where their bytes came.
    Column("parent", NAME),
    Column("bytes_image_service", BigInteger),
    Column("bytes_hosts", BigInteger),
    Column("bytes_cache", BigInteger),
    # What of these attempts before this one received.
    Column("earlier_image_service", BigInteger),
    Column("earlier_hosts", BigInteger),
    Column("earlier_cache", BigInteger),
    # The default is for the previous release, whose hosts do not say it.
    Column("decoded_by", NAME, nullable=False, server_default=text("''")),
    # For the list of one state or outcome, in the order of the list.
    Index("ix_tasks_standing", "job", "state", "outcome", "host_position", "image_position"),
    sqlite_with_rowid=False,
    **_EXACT,
)

# Kept in step with `tasks`, so that no look counts them; see `jobs_sql/counts.py`.
job_counts = Table(
    "job_counts",
    metadata,
    Column("job", ForeignKey("jobs.number"), primary_key=True),
    Column("image_position", Integer, primary_key=True, autoincrement=False),
    # The outcome, or the state of tasks that have not ended.
    Column("standing", String(32), primary_key=True),
    Column("tasks", Integer, nullable=False),
    # 0 for running tasks, whose bytes are in their rows.
    Column("bytes_done", BigInteger, nullable=False),
    Column("bytes_total", BigInteger, nullable=False),
    # The defaults are for the previous release, whose tasks get all bytes from the image service.
    Column("bytes_image_service", BigInteger, nullable=False, server_default=text("0")),
    Column("bytes_hosts", BigInteger, nullable=False, server_default=text("0")),
    Column("bytes_cache", BigInteger, nullable=False, server_default=text("0")),
    **_EXACT,
)

# One row for each change of the state of a job, until it has been sent. No foreign key: the previous release removes
# jobs without their notices.
job_notices = Table(
    "job_notices",
    metadata,
    Column("number", NUMBER, primary_key=True),
    Column("job", NUMBER, nullable=False),
    Column("event", one_of(JobEvent), nullable=False),
    Column("at", Instant, nullable=False),
    Column("reason", NAME, nullable=False),
    Column("has_deliveries", Boolean, nullable=False),
    # Of the job before the change; none of a new job.
    Column("old_state", one_of(JobState)),
    Column("old_reason", NAME, nullable=False),
    # A number identifies a notice for its receivers, so that it is never reused.
    sqlite_autoincrement=True,
    **_EXACT,
)

# What is still to be sent to URLs. It does not refer to the job, which may be removed before.
deliveries = Table(
    "deliveries",
    metadata,
    Column("number", NUMBER, primary_key=True),
    Column("job", NUMBER, nullable=False),
    Column("notice_id", String(64), nullable=False),
    Column("event", one_of(JobEvent), nullable=False),
    Column("url", String(2000), nullable=False),
    Column("body", LONG_TEXT, nullable=False),
    # Those that failed.
    Column("attempts", Integer, nullable=False),
    Column("since", Instant, nullable=False),
    Column("due_at", Instant, nullable=False),
    Index("ix_deliveries_job", "job", "number"),
    sqlite_autoincrement=True,
    **_EXACT,
)

# What one conductor does for all, and until when it does.
duties = Table(
    "duties",
    metadata,
    Column("name", NAME, primary_key=True),
    Column("owner", NAME, nullable=False),
    Column("until", Instant, nullable=False),
    **_EXACT,
)

# The permits to call hosts. No foreign key: it would make an exchange wait for the transactions of jobs.
job_calls = Table(
    "job_calls",
    metadata,
    Column("job", NUMBER, primary_key=True, autoincrement=False),
    # The claim under which they were stored.
    Column("owner", NAME, nullable=False),
    Column("token", Integer, nullable=False),
    Column("priority", Integer, nullable=False),
    # JSON, one list for all hosts: an exchange of thousands of permits is a few statements.
    Column("held", LONG_TEXT, nullable=False),
    Column("wish", LONG_TEXT),
    Column("last_grant", BigInteger, nullable=False),
    Column("updated_at", Instant, nullable=False),
    **_EXACT,
)

# What the hosts last reported of their caches. Transactions that change one of the three tables lock a row of `locks`
# first. No foreign keys to the hosts: they would make heartbeats wait for these transactions.
host_caches = Table(
    "host_caches",
    metadata,
    Column("host_id", Integer, primary_key=True, autoincrement=False),
    # The stored report, and the last one before the compute restarted.
    Column("boot_id", NAME, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("base", BigInteger, nullable=False),
    Column("earlier_boot_id", NAME, nullable=False),
    Column("earlier_sequence", BigInteger, nullable=False),
    # The sum of the marks of the entries, so that a full report is compared with all of them at once.
    Column("content", BigInteger, nullable=False),
    Column("reported_at", Instant, nullable=False),
    # JSON: space, owner, alarms, removals ...
    Column("document", LONG_TEXT, nullable=False),
    *_numbers(),
    **_EXACT,
)

cache_entries = Table(
    "cache_entries",
    metadata,
    Column("host_id", Integer, primary_key=True, autoincrement=False),
    Column("entry", ENTRY, primary_key=True),
    # What lists filter by, and what is counted.
    Column("state", one_of(EntryState), nullable=False),
    Column("verification", one_of(Verification), nullable=False),
    Column("is_pinned", Boolean, nullable=False),
    Column("disks", Integer),
    Column("allocated_bytes", BigInteger, nullable=False),
    # A hash of the whole row, by which changed ones are found without reading the document.
    Column("mark", BigInteger, nullable=False),
    # JSON: everything else, except what is in `cached_images`.
    Column("document", LONG_TEXT, nullable=False),
    Index("ix_cache_entries_entry", "entry", "host_id"),
    sqlite_with_rowid=False,
    **_EXACT,
)

# One row for each image that some host holds or should hold. The numbers are kept in step with `cache_entries`.
cached_images = Table(
    "cached_images",
    metadata,
    Column("entry", ENTRY, primary_key=True),
    # Of the first host that knew it; none if no host has a record.
    Column("image", UUID),
    Column("name", NAME),
    # In the image service; none if that was not asked yet.
    Column("status", String(32)),
    Column("status_at", Instant),
    *_numbers(),
    Index("ix_cached_images_name", "name", "entry"),
    **_EXACT,
)

# One row for each image, in one form, that hosts of a site pass on to each other. `relays_sql/store.py` says how the
# two tables are locked.
relays = Table(
    "relays",
    metadata,
    Column("number", NUMBER, primary_key=True),
    Column("id", UUID, nullable=False, unique=True),
    Column("cell", NAME, nullable=False),
    Column("site", NAME, nullable=False),
    Column("image", UUID, nullable=False),
    Column("form", one_of(Form), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("root", NAME, nullable=False),
    Column("is_failed", Boolean, nullable=False),
    # JSON: everything else.
    Column("document", LONG_TEXT, nullable=False),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("cell", "site", "image", "form"),
    Index("ix_relays_image", "image"),
    sqlite_autoincrement=True,
    **_EXACT,
)

relay_members = Table(
    "relay_members",
    metadata,
    Column("relay", ForeignKey("relays.number"), primary_key=True),
    Column("host", NAME, primary_key=True),
    # In the order in which they joined.
    Column("position", Integer, nullable=False),
    Column("state", one_of(MemberState), nullable=False),
    Column("version", Integer, nullable=False),
    # What most reports change, so that they write nothing else.
    Column("have_bytes", BigInteger, nullable=False),
    Column("offered_bytes", BigInteger, nullable=False),
    Column("rate_bytes_per_s", BigInteger, nullable=False),
    # When it last reported; before its first report, when it joined.
    Column("seen_at", Instant),
    # JSON: everything else.
    Column("document", LONG_TEXT, nullable=False),
    Index("ix_relay_members_silent", "state", "seen_at"),
    **_EXACT,
)

# What relays have shown of each host, for later relays. It refers to no host, so that reports wait for no heartbeat.
host_rates = Table(
    "host_rates",
    metadata,
    Column("host", NAME, primary_key=True),
    Column("uplink_bytes_per_s", BigInteger, nullable=False),
    Column("link_bytes_per_s", BigInteger, nullable=False),
    Column("measured_at", Instant, nullable=False),
    **_EXACT,
)

# Rows that are locked by transactions which must come one after another.
locks = Table("locks", metadata, Column("name", NAME, primary_key=True), **_EXACT)

# The keys that sign for hosts of swarms: usually one row; a second one while the key is being renewed.
swarm_authorities = Table(
    "swarm_authorities",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    # PEM.
    Column("certificate", LONG_TEXT, nullable=False),
    # The key, encrypted with [database] encryption_keys.
    Column("secret", LONG_TEXT, nullable=False),
    # Hosts trust it already, and an earlier key signs.
    Column("signs_from", Instant, nullable=False),
    **_EXACT,
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", NAME, nullable=False, unique=True),
    # SHA-256 of the secret, in hexadecimal: the secret itself is not stored.
    Column("digest", String(64), nullable=False),
    Column("roles", NAME, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant),
    **_EXACT,
)
