"""The ports of `ports/job_notices.py`: every change of a state has its notice, until that is removed."""

from datetime import timedelta

import pytest
from sqlalchemy import event

from precache.core.errors import LeaseLost
from precache.core.job_notices import JobEvent, NewDelivery
from precache.core.jobs import JobState
from tests.contract.job_values import LEASE, NOW, SECOND, cancel, claim, finish, held, job_id, new_job

MANY = 1000
HERE, THERE = "https://here.example/hook", "https://there.example/hook"


def events(stores, job=1):
    return [notice.event for notice in stores.notices.oldest(MANY) if notice.job.id == job_id(job)]


def numbers(stores):
    return [notice.number for notice in stores.notices.oldest(MANY)]


def add(stores, count=1):
    """Add jobs; return the numbers of their notices."""
    stores.clock.set(NOW)
    for number in range(1, count + 1):
        stores.intake.add(new_job(number))
    return numbers(stores)


class TestOutbox:
    def test_a_new_job_is_queued(self, stores):
        add(stores)

        [notice] = stores.notices.oldest(MANY)
        assert (notice.event, notice.at, notice.reason, notice.job.id) == (JobEvent.QUEUED, NOW, "", job_id(1))
        assert notice.job == stores.queries.get(job_id(1))
        assert notice.id == f"{job_id(1)}-{notice.number}"

    def test_a_job_that_was_not_stored_has_no_notice(self, stores):
        add(stores)

        with pytest.raises(Exception, match=job_id(1)):
            stores.intake.add(new_job(1))

        assert events(stores) == [JobEvent.QUEUED]

    def test_each_state_has_a_notice_with_its_time(self, stores):
        add(stores)
        claim(stores, at=NOW + SECOND)
        finish(stores, JobState.PARTLY_FAILED, at=NOW + 2 * SECOND)

        assert [(notice.event, notice.at) for notice in stores.notices.oldest(MANY)] == [
            (JobEvent.QUEUED, NOW),
            (JobEvent.RUNNING, NOW + SECOND),
            (JobEvent.PARTLY_FAILED, NOW + 2 * SECOND),
        ]

    @pytest.mark.parametrize(
        ("state", "event"),
        [
            (JobState.QUEUED, JobEvent.QUEUED),
            (JobState.WAITING, JobEvent.WAITING),
        ],
    )
    def test_a_released_job_tells_why_it_waits(self, stores, state, event):
        add(stores)
        claim(stores)

        stores.claims.release(held(stores), state=state, due_at=NOW + LEASE, reason="its window opens at 02:00")

        last = stores.notices.oldest(MANY)[-1]
        assert (last.event, last.reason) == (event, "its window opens at 02:00")

    def test_a_notice_has_the_state_and_reason_before(self, stores):
        add(stores)
        claim(stores)
        waiting = {"state": JobState.WAITING, "due_at": NOW + LEASE, "reason": "1 host is down"}
        stores.claims.release(held(stores), **waiting)
        claim(stores, at=NOW + LEASE)
        stores.clock.set(NOW + LEASE + SECOND)

        before = [(notice.event, notice.old_state, notice.old_reason) for notice in stores.notices.oldest(MANY)]
        assert before == [
            (JobEvent.QUEUED, None, ""),
            (JobEvent.RUNNING, JobState.QUEUED, ""),
            (JobEvent.WAITING, JobState.RUNNING, ""),
            (JobEvent.RUNNING, JobState.WAITING, "1 host is down"),
        ]
        assert stores.notices.oldest(MANY)[-1].age == SECOND

    def test_a_job_that_begins_by_waiting_tells_why(self, stores):
        stores.intake.add(new_job(1, due_at=NOW + LEASE, reason="not before 20:00"))

        [notice] = stores.notices.oldest(MANY)
        assert (notice.event, notice.reason) == (JobEvent.WAITING, "not before 20:00")

    def test_a_takeover_is_no_change_of_the_state(self, stores):
        add(stores)
        claim(stores, "dead")

        assert claim(stores, "other", at=NOW + LEASE) is not None
        assert events(stores) == [JobEvent.QUEUED, JobEvent.RUNNING]

    def test_a_restart_of_the_only_process_queues_what_ran(self, stores):
        add(stores, 2)
        claim(stores)

        stores.claims.release_all()

        assert [len(events(stores, 1)), len(events(stores, 2))] == [3, 1]
        assert events(stores, 1)[-1] is JobEvent.QUEUED

    def test_a_job_that_is_cancelled_before_it_began_has_ended(self, stores):
        add(stores)
        cancel(stores)
        cancel(stores)

        assert events(stores) == [JobEvent.QUEUED, JobEvent.CANCELLED]

    def test_a_request_to_cancel_a_running_job_is_no_state(self, stores):
        add(stores)
        claim(stores)
        cancel(stores)

        assert events(stores) == [JobEvent.QUEUED, JobEvent.RUNNING]
        finish(stores, JobState.SUCCEEDED)
        assert events(stores)[-1] is JobEvent.CANCELLED

    def test_what_an_operator_does_is_told(self, stores):
        add(stores)
        stores.steering.pause(job_id(1))
        stores.steering.pause(job_id(1))
        stores.steering.resume(job_id(1))
        claim(stores)
        finish(stores, JobState.FAILED)
        stores.steering.retry(job_id(1))

        assert events(stores) == [
            JobEvent.QUEUED, JobEvent.PAUSED, JobEvent.QUEUED, JobEvent.RUNNING, JobEvent.FAILED, JobEvent.RETRIED,
        ]  # fmt: skip

    def test_a_change_that_is_refused_has_no_notice(self, stores):
        add(stores)
        claim(stores)
        stale = held(stores)
        claim(stores, "other", at=NOW + LEASE)

        with pytest.raises(LeaseLost):
            stores.claims.finish(stale, JobState.SUCCEEDED)

        assert events(stores) == [JobEvent.QUEUED, JobEvent.RUNNING]

    def test_notices_come_oldest_first_until_they_are_removed(self, stores):
        first, second, third = add(stores, 3)

        assert [notice.number for notice in stores.notices.oldest(2)] == [first, second]
        stores.notices.remove([first, second])
        stores.notices.remove([first])
        assert numbers(stores) == [third]
        stores.notices.remove([])

    def test_a_number_is_never_reused(self, stores):
        before = add(stores)
        stores.notices.remove(before)
        claim(stores)

        assert numbers(stores) > before

    def test_notices_of_a_job_that_was_removed_are_dropped(self, stores):
        add(stores)
        cancel(stores)
        stores.clock.set(NOW + timedelta(days=1))
        stores.purge.purge(timedelta(hours=1), 10)

        assert stores.notices.oldest(MANY) == []

    def test_of_too_many_the_oldest_are_removed(self, stores):
        added = add(stores, 5)

        assert stores.notices.keep_newest(5) == 0
        assert stores.notices.keep_newest(2) == 3
        assert numbers(stores) == added[-2:]

    def test_an_empty_outbox_is_kept_as_it_is(self, stores):
        assert stores.notices.oldest(MANY) == stores.notices.without_deliveries(MANY) == []
        assert stores.notices.keep_newest(2) == 0


def test_a_state_that_is_not_stored_is_not_told(database_stores):
    stores = database_stores
    add(stores)
    before = events(stores)

    def fail(connection, cursor, statement, *rest):
        if statement.startswith("UPDATE jobs"):
            raise RuntimeError("the process dies here")

    event.listen(stores.database.engine, "before_cursor_execute", fail)
    for change in (lambda: claim(stores), lambda: stores.steering.pause(job_id(1))):
        with pytest.raises(RuntimeError):
            change()
    event.remove(stores.database.engine, "before_cursor_execute", fail)

    assert events(stores) == before
    assert stores.queries.get(job_id(1)).state is JobState.QUEUED


class TestDeliveries:
    def deliver(self, stores, *urls, count=1):
        notices = add(stores, count)
        new = [NewDelivery(notice, url, f"body {notice}") for notice in notices for url in urls]
        stores.notices.add_deliveries(notices, new)
        return notices

    def test_a_delivery_holds_what_is_sent(self, stores):
        [notice] = self.deliver(stores, HERE)

        [due] = stores.deliveries.due(MANY)
        expected = (f"{job_id(1)}-{notice}", JobEvent.QUEUED, HERE, f"body {notice}", 0, timedelta())
        assert (due.id, due.event, due.url, due.body, due.attempts, due.age) == expected

    def test_deliveries_of_a_notice_are_stored_once(self, stores):
        [notice] = self.deliver(stores, HERE, THERE)
        stores.notices.add_deliveries([notice], [NewDelivery(notice, HERE, "again")])

        assert [due.url for due in stores.deliveries.due(MANY)] == [HERE, THERE]
        assert stores.notices.without_deliveries(MANY) == []
        assert numbers(stores) == [notice]

    def test_a_notice_without_a_receiver_waits_for_none(self, stores):
        notices = add(stores, 3)
        stores.notices.add_deliveries(notices[:2], [])

        assert [notice.number for notice in stores.notices.without_deliveries(MANY)] == notices[2:]
        assert stores.deliveries.due(MANY) == []

    def test_a_notice_that_is_gone_gets_no_delivery(self, stores):
        [notice] = add(stores)
        stores.notices.remove([notice])

        stores.notices.add_deliveries([notice], [NewDelivery(notice, HERE, "late")])

        assert stores.deliveries.due(MANY) == []

    def test_deliveries_outlive_the_notice(self, stores):
        [notice] = self.deliver(stores, HERE)
        stores.notices.remove([notice])

        assert len(stores.deliveries.due(MANY)) == 1

    def test_of_a_job_and_url_only_the_oldest_is_due(self, stores):
        add(stores, 2)
        claim(stores)
        notices = stores.notices.oldest(MANY)
        new = [NewDelivery(notice.number, url, "") for notice in notices for url in (HERE, THERE)]
        stores.notices.add_deliveries([notice.number for notice in notices], new)

        first = stores.deliveries.due(MANY)
        assert [(due.event, due.url) for due in first] == [
            (JobEvent.QUEUED, HERE), (JobEvent.QUEUED, THERE), (JobEvent.QUEUED, HERE), (JobEvent.QUEUED, THERE),
        ]  # fmt: skip
        stores.deliveries.remove([first[0].number])
        again = stores.deliveries.due(MANY)
        assert {(due.event, due.url) for due in again} == {
            (JobEvent.RUNNING, HERE), (JobEvent.QUEUED, HERE), (JobEvent.QUEUED, THERE),
        }  # fmt: skip
        assert len(stores.deliveries.due(2)) == 2
        assert [due.url for due in stores.deliveries.due(1, skip=[HERE])] == [THERE]
        assert stores.deliveries.due(MANY, skip=[HERE, THERE]) == []

    def test_a_delivery_that_failed_is_due_later_and_holds_up_later_ones_of_its_job(self, stores):
        add(stores)
        claim(stores)
        notices = numbers(stores)
        stores.notices.add_deliveries(notices, [NewDelivery(notice, HERE, "") for notice in notices])
        [due] = stores.deliveries.due(MANY)

        stores.deliveries.put_back([due.number], 10 * SECOND)

        assert stores.deliveries.due(MANY) == []
        stores.clock.set(NOW + 10 * SECOND)
        [again] = stores.deliveries.due(MANY)
        assert (again.number, again.attempts, again.age) == (due.number, 1, 10 * SECOND)

    def test_of_too_many_the_oldest_are_removed(self, stores):
        self.deliver(stores, HERE, THERE, count=3)

        assert stores.deliveries.keep_newest(6) == 0
        assert stores.deliveries.keep_newest(4) == 2
        assert {due.id for due in stores.deliveries.due(MANY)} == {
            notice.id for notice in stores.notices.oldest(MANY)[1:]
        }


class TestDuties:
    def test_one_process_has_a_duty_until_its_lease_ends(self, stores):
        stores.clock.set(NOW)
        assert stores.duties.hold("notices", "a", LEASE)
        assert not stores.duties.hold("notices", "b", LEASE)
        stores.clock.set(NOW + LEASE - SECOND)
        assert stores.duties.hold("notices", "a", LEASE)
        stores.clock.set(NOW + LEASE)
        assert not stores.duties.hold("notices", "b", LEASE)
        stores.clock.set(NOW + 2 * LEASE)
        assert stores.duties.hold("notices", "b", LEASE)
        assert not stores.duties.hold("notices", "a", LEASE)

    def test_duties_are_held_independently(self, stores):
        stores.clock.set(NOW)

        assert stores.duties.hold("notices", "a", LEASE)
        assert stores.duties.hold("purge", "b", LEASE)

    def test_a_lease_of_no_time_frees_the_duty(self, stores):
        stores.clock.set(NOW)
        assert stores.duties.hold("notices", "a", LEASE)

        stores.duties.hold("notices", "a", timedelta())

        assert stores.duties.hold("notices", "b", LEASE)
