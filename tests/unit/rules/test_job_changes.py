"""Whoever applies all changes of a job knows its tasks, although only some are read at each look."""

from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from precache.core.images import parse_image_id
from precache.core.jobs import Outcome, Phase, Task, TaskState
from precache.rules.job_changes import SeenTasks, TaskChange

IMAGES = [parse_image_id(f"70a599e0-31e7-49b7-b260-{number:012x}") for number in range(2)]
PLACES = [(host, image) for host in range(3) for image in range(2)]


def task(place, **fields):
    host, image = place
    return Task(job_id="1", host=f"cmp-{host}", cell="cell1", image=IMAGES[image], **fields)


WAITING = st.just({})
RUNNING = st.builds(
    lambda phase, done: {"state": TaskState.RUNNING, "phase": phase, "bytes_done": done},
    st.sampled_from(Phase),
    st.integers(0, 2),
)
ENDED = st.builds(lambda outcome: {"state": TaskState.ENDED, "outcome": outcome}, st.sampled_from(Outcome))
MOMENTS = st.fixed_dictionaries({place: st.one_of(WAITING, RUNNING, ENDED) for place in PLACES}).map(
    lambda fields: {place: task(place, **of_task) for place, of_task in fields.items()}
)


@st.composite
def courses(draw):
    """Return a job's tasks at some moments, each with whether the job was retried before it."""
    moments = [(draw(MOMENTS), False)]
    for tasks, is_retried in draw(st.lists(st.tuples(MOMENTS, st.booleans()), min_size=1, max_size=5)):
        before = moments[-1][0]
        # An ended task stays as it is; unless it failed and the job is retried.
        ended = {place: each for place, each in before.items() if each.outcome}
        stays = {place: each for place, each in ended.items() if each.outcome.is_success or not is_retried}
        moments.append((tasks | stays, is_retried))
    return moments


def running(tasks):
    return {place: each for place, each in tasks.items() if each.state is TaskState.RUNNING}


def places(tasks, *outcomes):
    return {outcome: [place for place, each in tasks.items() if each.outcome is outcome] for outcome in outcomes}


def look(seen, tasks, is_retried=False):
    """Look at the job as a follower does; return the changes and the places of all tasks that it read."""
    read = {**running(tasks), **{place: tasks[place] for place in seen.stopped(running(tasks))}}
    changes = seen.update(read)
    miscounted = seen.miscounted(Counter(each.outcome for each in tasks.values() if each.outcome))
    more = {place: tasks[place] for place in seen.differing(places(tasks, *(Outcome if is_retried else miscounted)))}
    return changes + seen.update(more), read.keys() | more.keys()


def first_look(tasks):
    return SeenTasks(running(tasks), places(tasks, *Outcome))


@given(courses())
def test_a_reader_of_all_changes_knows_every_task_that_runs_and_counts_every_outcome(moments):
    first, *later = moments
    seen = first_look(first[0])
    known = {(each.host, each.image): each for each in first[0].values()}

    for tasks, is_retried in later:
        for change in look(seen, tasks, is_retried)[0]:
            known[change.after.host, change.after.image] = change.after

        now = {(each.host, each.image): each for each in tasks.values()}
        assert {key: each for key, each in known.items() if each.state is TaskState.RUNNING} == {
            key: each for key, each in now.items() if each.state is TaskState.RUNNING
        }
        assert Counter(each.outcome for each in known.values()) == Counter(each.outcome for each in now.values())
        assert seen.running == [tasks[place] for place in sorted(running(tasks))]


@given(courses())
def test_each_change_has_what_the_reader_saw_and_what_is(moments):
    (before, _), (after, is_retried), *_ = moments
    seen = first_look(before)

    for change in look(seen, after, is_retried)[0]:
        place = int(change.after.host.removeprefix("cmp-")), IMAGES.index(change.after.image)
        assert change.after == after[place]
        assert change.before == (before[place] if before[place].state is TaskState.RUNNING else None)
        assert change.before != change.after


@given(MOMENTS)
def test_nothing_is_told_or_read_again_of_a_job_in_which_nothing_changed(tasks):
    seen = first_look(tasks)

    changes, read = look(seen, tasks)

    assert changes == []
    assert read == running(tasks).keys()


def test_only_tasks_of_outcomes_that_were_counted_otherwise_are_read():
    tasks = {place: task(place, state=TaskState.ENDED, outcome=Outcome.CACHED) for place in PLACES[:5]}
    tasks[PLACES[5]] = task(PLACES[5])
    seen = first_look(tasks)
    failed = replace(tasks[PLACES[5]], state=TaskState.ENDED, outcome=Outcome.SKIPPED, reason="down")

    changes, read = look(seen, tasks | {PLACES[5]: failed})

    assert (changes, read) == ([TaskChange(None, failed)], {PLACES[5]})
