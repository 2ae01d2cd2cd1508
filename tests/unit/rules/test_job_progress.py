"""Sums over tasks: they always add up, in whatever parts they are computed."""

from hypothesis import given
from hypothesis import strategies as st

from precache.core.images import parse_image_id
from precache.core.job_hosts import HostTask
from precache.core.jobs import Outcome, Task, TaskState
from precache.rules.job_progress import add_up, host_progress, progress_by_image, sum_tasks

IMAGES = tuple(map(parse_image_id, ("70a599e0-31e7-49b7-b260-868f441e862b", "155d900f-4e14-4e4c-a73d-069cbf4541e6")))
SIZES = st.dictionaries(st.sampled_from(IMAGES), st.integers(0, 50))


@st.composite
def tasks(draw):
    state = draw(st.sampled_from(TaskState))
    return Task(
        job_id="1",
        host="cmp-1",
        cell=None,
        image=draw(st.sampled_from(IMAGES)),
        state=state,
        outcome=draw(st.sampled_from(Outcome)) if state is TaskState.ENDED else None,
        bytes_done=draw(st.integers(0, 60)),
        bytes_total=draw(st.integers(0, 60)),
        rate_bytes_per_s=draw(st.none() | st.integers(0, 9)) if state is TaskState.RUNNING else None,
    )


@given(st.lists(tasks()), SIZES)
def test_the_states_and_the_outcomes_add_up(found, sizes):
    progress = add_up([each.progress for each in progress_by_image(IMAGES, sizes, sum_tasks(found))])

    assert sum(progress.task_states.values()) == len(found)
    assert sum(progress.counts.values()) == progress.task_states.get(TaskState.ENDED, 0)
    assert progress.bytes_done == sum(task.bytes_done for task in found)
    assert progress.bytes_left is None or progress.bytes_left >= 0


@given(st.lists(tasks()), SIZES)
def test_the_progress_of_a_host_is_the_sum_of_its_images(found, sizes):
    by_image = add_up([each.progress for each in progress_by_image(IMAGES, sizes, sum_tasks(found))])

    of_host = host_progress("cmp-1", None, None, list(map(HostTask.of, found)), sizes)

    # Of a host each task is known by itself, so that its bytes left are never less than those of the sum.
    assert of_host.progress.task_states == by_image.task_states
    assert of_host.progress.counts == by_image.counts
    assert (of_host.progress.bytes_done, of_host.progress.bytes_total) == (by_image.bytes_done, by_image.bytes_total)
    assert of_host.progress.rate_bytes_per_s == by_image.rate_bytes_per_s
    assert of_host.progress.bytes_left is None or of_host.progress.bytes_left >= by_image.bytes_left


@given(st.lists(tasks(), min_size=1))
def test_a_host_runs_if_a_task_runs_and_has_ended_if_all_have(found):
    states = {task.state for task in found}

    of_host = host_progress("cmp-1", None, None, list(map(HostTask.of, found)), {})

    assert (of_host.state is TaskState.RUNNING) == (TaskState.RUNNING in states)
    assert (of_host.state is TaskState.ENDED) == (states == {TaskState.ENDED})
    assert (of_host.image is None) == (TaskState.RUNNING not in states)
