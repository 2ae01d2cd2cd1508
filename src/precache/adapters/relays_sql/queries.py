"""Reads of relays and of the tasks for which they are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from sqlalchemy import func, select

from precache.adapters.relays_sql.rows import MEMBERS, read_relay
from precache.adapters.sql import Database
from precache.adapters.sql.batches import batches
from precache.adapters.sql.repeating import repeatable
from precache.adapters.sql.tables import job_hosts, job_images, jobs, relay_members, relays, tasks
from precache.core.images import ImageId
from precache.core.jobs import JobState, TaskState
from precache.core.relays import Relay

_FINAL = [state for state in JobState if state.is_final]


class SqlRelayTasks:
    """The port `RelayTasks`."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    @repeatable
    def is_asked(self, job_id: str, host: str, image: ImageId) -> bool:
        asked = (
            select(tasks.c.job)
            .join_from(tasks, jobs, jobs.c.number == tasks.c.job)
            .join(job_hosts, (job_hosts.c.job == tasks.c.job) & (job_hosts.c.position == tasks.c.host_position))
            .join(job_images, (job_images.c.job == tasks.c.job) & (job_images.c.position == tasks.c.image_position))
            .where(
                jobs.c.id == job_id,
                jobs.c.state.not_in(_FINAL),
                job_hosts.c.host == host,
                job_images.c.image == image,
                tasks.c.state != TaskState.ENDED,
            )
        )
        with self._database.read(is_one_statement=True) as connection:
            return connection.execute(asked).first() is not None


class SqlHostLoad:
    """The port `HostLoad`."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    @repeatable
    def running_tasks(self, hosts: Sequence[str]) -> Mapping[str, int]:
        found: dict[str, int] = {}
        is_of_host = (job_hosts.c.job == tasks.c.job) & (job_hosts.c.position == tasks.c.host_position)
        with self._database.read() as connection:
            running = select(jobs.c.number).where(jobs.c.state == JobState.RUNNING)
            numbers = list(connection.scalars(running))
            for names in batches(hosts) if numbers else ():
                # Found by `ix_tasks_standing`.
                statement = (
                    select(job_hosts.c.host, func.count())
                    .join_from(tasks, job_hosts, is_of_host)
                    .where(
                        tasks.c.job.in_(numbers),
                        tasks.c.state == TaskState.RUNNING,
                        tasks.c.outcome.is_(None),
                        job_hosts.c.host.in_(names),
                    )
                    .group_by(job_hosts.c.host)
                )
                found |= dict(tuple(row) for row in connection.execute(statement))
        return found


class SqlRelayQueries:
    """The port `RelayQueries`."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    @repeatable
    def relays_of_job(self, job_id: str) -> list[Relay]:
        number = select(jobs.c.number).where(jobs.c.id == job_id).scalar_subquery()
        created_at = select(jobs.c.created_at).where(jobs.c.id == job_id).scalar_subquery()
        takes_part = (
            select(relay_members.c.relay)
            .join(job_hosts, job_hosts.c.host == relay_members.c.host)
            .where(
                job_hosts.c.job == number,
                relay_members.c.relay == relays.c.number,
                relay_members.c.seen_at >= created_at,
            )
        )
        found = (
            select(relays)
            .where(
                relays.c.image.in_(select(job_images.c.image).where(job_images.c.job == number)), takes_part.exists()
            )
            .order_by(relays.c.site, relays.c.image, relays.c.number)
        )
        with self._database.read() as connection:
            rows = connection.execute(found).all()
            numbers = [row.number for row in rows]
            members = connection.execute(MEMBERS.where(relay_members.c.relay.in_(numbers))).all() if rows else []
        by_relay = {relay: list(group) for relay, group in groupby(members, key=lambda member: member.relay)}
        return [read_relay(row, by_relay.get(row.number, [])) for row in rows]
