"""How a job ended, derived from the outcomes of its tasks."""

from collections.abc import Iterable

from precache.core.jobs import JobState, Outcome


def verdict(outcomes: Iterable[Outcome]) -> JobState:
    """Return the final state of a job with these outcomes.

    Every image in every cache: succeeded. None: failed. Some: partly_failed. A job without tasks (an empty aggregate)
    succeeded. A job with cancelled tasks is cancelled, else one with expired tasks is expired.
    """
    seen = list(outcomes)
    if Outcome.CANCELLED in seen:
        return JobState.CANCELLED
    if Outcome.EXPIRED in seen:
        return JobState.EXPIRED
    succeeded = sum(outcome.is_success for outcome in seen)
    if succeeded == len(seen):
        return JobState.SUCCEEDED
    return JobState.PARTLY_FAILED if succeeded else JobState.FAILED
