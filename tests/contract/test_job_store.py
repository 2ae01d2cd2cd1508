"""What every job store does for the API: take jobs in, and show them; and for the hosts: keep their progress."""

import pytest

from precache.core.errors import JobExists, JobNotFound, TaskNotFound
from precache.core.images import parse_image_id
from precache.core.job_progress import ImageProgress, Progress
from precache.core.jobs import Job, JobState, Outcome, Phase, Task, TaskFilter, TaskProgress, TaskResult, TaskState
from precache.core.orders import ImageOrder
from precache.core.targets import Target
from tests.contract.job_values import DEBIAN, NOW, SECOND, UBUNTU, asked, claim, ended, finish, job_id, new_job


def test_a_job_is_stored_whole_as_queued(stores):
    stored = stores.intake.add(new_job())

    assert stored == stores.queries.get(job_id(1))
    assert stored == Job(
        id=job_id(1),
        aggregate_id=7,
        aggregate_uuid="788608ec-ebdc-45c5-bc7f-e5f24ab92c80",
        aggregate_name="gruppe-\N{SNOWMAN}",
        orders=(ImageOrder(UBUNTU), ImageOrder(DEBIAN)),
        state=JobState.QUEUED,
        requested_by="admin",
        request_id="req-1",
        created_at=NOW,
        started_at=None,
        finished_at=None,
        lease_owner=None,
        lease_until=None,
        task_count=4,
        counts={},
        progress=Progress(task_states={TaskState.WAITING: 4}, bytes_total=None, bytes_left=None),
        by_image=tuple(
            ImageProgress(
                image=image,
                size_bytes=None,
                progress=Progress(task_states={TaskState.WAITING: 2}, bytes_total=None, bytes_left=None),
            )
            for image in (UBUNTU, DEBIAN)
        ),
    )


def test_a_job_and_its_tasks_keep_the_names_of_images(stores):
    stored = stores.intake.add(new_job(hosts=["cmp-1"], image_names={UBUNTU: "ubuntu \N{SNOWMAN}"}))

    assert stored.image_names == stores.queries.list_jobs()[0].image_names == {UBUNTU: "ubuntu \N{SNOWMAN}"}
    names = {task.image: task.image_name for task in stores.queries.list_tasks(job_id(1))}
    assert names == {UBUNTU: "ubuntu \N{SNOWMAN}", DEBIAN: None}


def test_the_name_of_an_image_stays_when_its_task_ends(stores):
    stores.intake.add(new_job(hosts=["cmp-1"], images=[UBUNTU], image_names={UBUNTU: "ubuntu"}))
    claim(stores)

    ended(stores, "cmp-1", TaskResult(UBUNTU, Outcome.CACHED))

    (task,) = stores.queries.list_tasks(job_id(1))
    assert (task.outcome, task.image_name) == (Outcome.CACHED, "ubuntu")


def test_a_job_for_one_host_keeps_its_name(stores):
    stores.intake.add(new_job(hosts=["cmp-1"], for_host="cmp-1"))

    assert stores.queries.get(job_id(1)).for_host == "cmp-1"


def test_a_job_keeps_its_name_and_its_target(stores):
    target = Target(aggregates=("a \N{SNOWMAN}", "b"), cells=("cell1",), hosts=("cmp-1",), exclude_hosts=("cmp-9",))

    stored = stores.intake.add(new_job(name="friday \N{PILE OF POO}", target=target, aggregate_id=0))

    assert (stored.name, stored.target) == ("friday \N{PILE OF POO}", target)
    assert stores.queries.list_jobs() == [stored]
    assert not stored.is_for_one_aggregate


def test_a_job_with_ten_thousand_hosts_in_its_target_is_stored_whole(stores):
    target = Target(hosts=tuple(f"host-{number}" for number in range(10_000)))

    stores.intake.add(new_job(target=target))

    assert stores.queries.get(job_id(1)).target == target


def test_a_job_keeps_the_metadata_that_its_aggregate_had(stores):
    metadata = {"availability_zone": "nova", "note": "\N{SNOWMAN} \N{PILE OF POO}", "empty": ""}

    stored = stores.intake.add(new_job(aggregate_metadata=metadata))

    assert stored.aggregate_metadata == stores.queries.list_jobs()[0].aggregate_metadata == metadata


def test_tasks_come_by_host_and_then_image_in_the_order_of_the_request(stores):
    stores.intake.add(new_job())

    tasks = stores.queries.list_tasks(job_id(1))

    assert [(task.host, task.image) for task in tasks] == [
        ("cmp-2", UBUNTU),
        ("cmp-2", DEBIAN),
        ("cmp-1", UBUNTU),
        ("cmp-1", DEBIAN),
    ]


def test_a_new_task_waits_without_values(stores):
    stores.intake.add(new_job(hosts=["cmp-1"], images=[DEBIAN]))

    assert stores.queries.list_tasks(job_id(1)) == [
        Task(
            job_id=job_id(1),
            host="cmp-1",
            cell=None,
            image=DEBIAN,
            state=TaskState.WAITING,
            outcome=None,
            phase=Phase.WAITING,
            bytes_done=0,
            bytes_total=0,
            attempts=0,
            reason="",
            started_at=None,
            finished_at=None,
        )
    ]


def test_a_job_without_hosts_has_no_tasks(stores):
    stores.intake.add(new_job(hosts=[]))

    assert stores.queries.get(job_id(1)).task_count == 0
    assert stores.queries.list_tasks(job_id(1)) == []


def test_a_host_or_image_named_twice_counts_once(stores):
    stored = stores.intake.add(new_job(hosts=["cmp-1", "cmp-2", "cmp-1"], images=[DEBIAN, DEBIAN]))

    assert (stored.task_count, stored.images) == (2, (DEBIAN,))
    assert [task.host for task in stores.queries.list_tasks(job_id(1))] == ["cmp-1", "cmp-2"]


def test_hosts_whose_names_differ_only_in_case_are_two(stores):
    stores.intake.add(new_job(hosts=["cmp-1", "CMP-1"], images=[DEBIAN]))

    assert [task.host for task in stores.queries.list_tasks(job_id(1))] == ["cmp-1", "CMP-1"]


def test_a_second_job_with_the_same_id_is_refused_and_changes_nothing(stores):
    first = stores.intake.add(new_job())

    with pytest.raises(JobExists):
        stores.intake.add(new_job(hosts=["other"]))

    assert stores.queries.get(job_id(1)) == first
    assert len(stores.queries.list_tasks(job_id(1))) == 4


def test_an_unknown_job_is_not_found(stores):
    for look in (stores.queries.get, stores.queries.list_tasks):
        with pytest.raises(JobNotFound):
            look("no such job")


def test_jobs_are_listed_newest_first(stores):
    for number, age in ((1, 2), (2, 0), (3, 1)):
        stores.intake.add(new_job(number, created_at=NOW - age * SECOND))

    assert listed(stores) == [2, 3, 1]


def test_of_jobs_of_the_same_instant_the_one_that_came_last_is_the_newest(stores):
    for number in (3, 1, 2):
        stores.intake.add(new_job(number))

    assert listed(stores) == [2, 1, 3]


def test_pages_by_marker_show_every_job_once(stores):
    for number in range(1, 8):
        # Two of each instant, so that pages end between equals.
        stores.intake.add(new_job(number, created_at=NOW + (number // 2) * SECOND))

    first = listed(stores, limit=3)
    second = listed(stores, limit=3, marker=job_id(first[-1]))
    third = listed(stores, limit=3, marker=job_id(second[-1]))

    assert (first, second, third) == ([7, 6, 5], [4, 3, 2], [1])
    assert listed(stores, limit=3, marker=job_id(1)) == []


def test_an_unknown_marker_is_not_found(stores):
    with pytest.raises(JobNotFound):
        stores.queries.list_jobs(marker=job_id(1))


def test_listed_jobs_have_the_counts_and_images_of_their_own(stores):
    stores.intake.add(new_job(1, hosts=["a", "b"], images=[DEBIAN], created_at=NOW))
    stores.intake.add(new_job(2, hosts=["a"], images=[UBUNTU, DEBIAN], created_at=NOW + SECOND))
    for number, host in ((1, "a"), (1, "b"), (2, "a")):
        owner = stores.queries.get(job_id(number)).lease_owner or claim(stores).lease_owner
        ended(stores, host, TaskResult(DEBIAN, Outcome.CACHED, 5), job=number, owner=owner)
    finish(stores, JobState.SUCCEEDED)

    newer, older = stores.queries.list_jobs()

    assert (newer.images, newer.task_count, newer.counts) == ((UBUNTU, DEBIAN), 2, {Outcome.CACHED: 1})
    assert (older.images, older.task_count, older.counts) == ((DEBIAN,), 2, {Outcome.CACHED: 2})


def test_pages_of_tasks_show_each_once_in_the_order_of_the_request(stores):
    stores.intake.add(new_job(hosts=["b", "a", "c"]))
    every = stores.queries.list_tasks(job_id(1))

    pages, marker = [], None
    while page := stores.queries.list_tasks(job_id(1), limit=4, marker=marker):
        pages.append(page)
        marker = page[-1].host, page[-1].image

    assert [len(page) for page in pages] == [4, 2]
    assert [task for page in pages for task in page] == every


@pytest.mark.parametrize(
    ("only", "wanted"),
    [
        ({"host": "a"}, ["a ubuntu running", "a debian running"]),
        ({"image": DEBIAN}, ["b debian cached", "a debian running", "c debian waiting"]),
        ({"cell": "cell2"}, ["a ubuntu running", "a debian running"]),
        ({"state": TaskState.WAITING}, ["c ubuntu waiting", "c debian waiting"]),
        ({"state": TaskState.RUNNING}, ["a ubuntu running", "a debian running"]),
        ({"state": TaskState.ENDED}, ["b ubuntu error", "b debian cached"]),
        ({"outcomes": {Outcome.ERROR}}, ["b ubuntu error"]),
        ({"outcomes": {Outcome.ERROR, Outcome.CACHED, Outcome.SKIPPED}}, ["b ubuntu error", "b debian cached"]),
        ({"has_reason": True}, ["b ubuntu error"]),
        ({"has_reason": False, "host": "b"}, ["b debian cached"]),
        ({"outcomes": {Outcome.CACHED}, "state": TaskState.ENDED, "host": "b"}, ["b debian cached"]),
        ({"outcomes": {Outcome.CACHED}, "state": TaskState.RUNNING}, []),
        ({"host": "nowhere"}, []),
        ({"host": "B"}, []),
    ],
)
def test_tasks_can_be_narrowed_and_then_paged(stores, only, wanted):
    mixed(stores)
    matching = TaskFilter(**only)

    found = stores.queries.list_tasks(job_id(1), only=matching)
    first = stores.queries.list_tasks(job_id(1), only=matching, limit=1)
    rest = [
        later
        for task in first
        for later in stores.queries.list_tasks(job_id(1), only=matching, marker=(task.host, task.image))
    ]

    assert [told(task) for task in found] == wanted
    assert first + rest == found


def test_a_page_may_begin_after_a_task_that_the_filter_leaves_out(stores):
    mixed(stores)
    waiting = TaskFilter(state=TaskState.WAITING)

    assert len(stores.queries.list_tasks(job_id(1), only=waiting, marker=("b", UBUNTU))) == 2
    assert len(stores.queries.list_tasks(job_id(1), only=waiting, marker=("c", UBUNTU))) == 1


@pytest.mark.parametrize("marker", [("nowhere", UBUNTU), ("a", parse_image_id(job_id(9))), ("x", UBUNTU)])
def test_a_marker_that_is_no_task_of_the_job_is_not_found(stores, marker):
    stores.intake.add(new_job(1, hosts=["a"]))
    stores.intake.add(new_job(2, hosts=["x"]))

    with pytest.raises(TaskNotFound):
        stores.queries.list_tasks(job_id(1), marker=marker)


def test_tasks_of_an_unknown_job_cannot_be_listed(stores):
    with pytest.raises(JobNotFound):
        stores.queries.list_tasks("no such job")


def mixed(stores):
    """Store a job in which host b has ended, a runs in another cell, and c waits."""
    stores.intake.add(new_job(hosts=["b", "a", "c"]))
    claim(stores)
    asked(stores, "b", UBUNTU, DEBIAN)
    asked(stores, "a", UBUNTU, DEBIAN, cell="cell2")
    ended(stores, "b", TaskResult(UBUNTU, Outcome.ERROR, reason="full"), TaskResult(DEBIAN, Outcome.CACHED, 5))


def told(task):
    image = {UBUNTU: "ubuntu", DEBIAN: "debian"}[task.image]
    return f"{task.host} {image} {task.outcome or task.state}"


def test_progress_of_a_running_task_is_stored_and_the_latest_counts(stores):
    start_one(stores)

    stores.progress.note([progress(Phase.DOWNLOADING, 10, 0), progress(Phase.CONVERTING, 90, 100)])

    task = stores.queries.list_tasks(job_id(1))[0]
    assert (task.phase, task.bytes_done, task.bytes_total) == (Phase.CONVERTING, 90, 100)


def test_progress_is_ignored_for_a_task_that_is_not_running(stores):
    stores.intake.add(new_job(hosts=["cmp-1"], images=[DEBIAN]))
    before = stores.queries.list_tasks(job_id(1))

    stores.progress.note([progress(Phase.DOWNLOADING, 10, 100)])
    while_waiting = stores.queries.list_tasks(job_id(1))
    claim(stores)
    ended(stores, "cmp-1", TaskResult(DEBIAN, Outcome.EXISTING))
    stores.progress.note([progress(Phase.DOWNLOADING, 10, 100)])

    assert while_waiting == before
    assert stores.queries.list_tasks(job_id(1))[0].bytes_done == 0


def test_progress_of_a_running_task_is_accepted_from_its_own_cell_only(stores):
    start_one(stores)

    stores.progress.note([progress(Phase.DOWNLOADING, 10, 100), progress(Phase.CONVERTING, 99, 100, cell="cell2")])

    (task,) = stores.queries.list_tasks(job_id(1))
    assert (task.phase, task.bytes_done) == (Phase.DOWNLOADING, 10)


def test_progress_of_unknown_jobs_hosts_and_images_is_ignored_without_harm_to_the_rest(stores):
    start_one(stores)

    stores.progress.note(
        [
            TaskProgress("no such job", "cmp-1", DEBIAN, Phase.DOWNLOADING, 1, 1, "cell1"),
            TaskProgress(job_id(1), "no such host", DEBIAN, Phase.DOWNLOADING, 1, 1, "cell1"),
            TaskProgress(job_id(1), "cmp-1", UBUNTU, Phase.DOWNLOADING, 1, 1, "cell1"),
            progress(Phase.DOWNLOADING, 2**40, 2**41),
        ]
    )
    stores.progress.note([])

    assert stores.queries.list_tasks(job_id(1))[0].bytes_done == 2**40


def start_one(stores):
    stores.intake.add(new_job(hosts=["cmp-1"], images=[DEBIAN]))
    claim(stores)
    asked(stores, "cmp-1", DEBIAN)


def progress(phase, done, total, cell="cell1"):
    return TaskProgress(job_id(1), "cmp-1", DEBIAN, phase, done, total, cell)


def listed(stores, **how):
    return [int(job.id.replace("-", ""), 16) for job in stores.queries.list_jobs(**how)]
