"""Texts on a job and its tasks, for the plain lines, the live view and the closing report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from precache.cli.printable import on_one_line
from precache.cli.wait.snapshot import SUCCESSES, Snapshot, TaskView
from precache.core.jobs import Outcome
from precache.core.sizes import human_bytes

_FAILURES_SHOWN = 20
_UNTOLD = SUCCESSES | {Outcome.CANCELLED}


def counted(counts: Mapping[str, int]) -> str:
    """Return `4 cached, 1 error`, or `nothing ended yet`."""
    return ", ".join(f"{number} {what}" for what, number in counts.items() if number) or "nothing ended yet"


def task_count(number: int) -> str:
    """Return `1 task`, or `2 tasks`."""
    return f"{number} task" if number == 1 else f"{number} tasks"


def amount(view: TaskView) -> str:
    """Return `312.0 MiB of 1.2 GiB`, or the known part of it; empty before the first byte."""
    if view.bytes_total and view.outcome is None:
        return f"{human_bytes(view.bytes_done)} of {human_bytes(view.bytes_total)}"
    return human_bytes(view.bytes_done) if view.bytes_done else ""


def task_line(view: TaskView, labels: Mapping[str, str]) -> str:
    """Return the line of a task: `cmp-1: debian-12: downloading, 312.0 MiB of 1.2 GiB`."""
    what = view.outcome or (view.phase if view.is_running else view.state)
    size = "" if view.is_failure else amount(view)
    reason = on_one_line(view.reason) if view.outcome else ""  # of a task that goes on it is that of an earlier attempt
    name = on_one_line(labels.get(view.image, view.name))
    line = f"{on_one_line(view.host)}: {name}: {what}"
    return line + (f", {size}" if size else "") + (f": {reason}" if reason else "")


def closing_report(snapshot: Snapshot, labels: Mapping[str, str]) -> list[str]:
    """Return the last lines of a wait: the counts, then each failure with its reason.

    A task that was cancelled has a reason only if its host did not confirm that it stopped.
    """
    outcome = counted(snapshot.counts) if snapshot.task_count else "there was no host to call"
    lines = [f"Job {snapshot.id} {snapshot.state}: {outcome}{f'. {snapshot.reason}' if snapshot.reason else ''}"]
    told = [view for view in snapshot.failures if view.reason or view.outcome != Outcome.CANCELLED]
    shown = told[:_FAILURES_SHOWN]
    lines += [f"  {task_line(view, labels)}" for view in shown]
    more = len(told) - len(shown)
    if not snapshot.is_whole:  # of a large job, the first failures of each outcome have been read
        unread = Counter(snapshot.counts) - Counter(str(view.outcome) for view in snapshot.failures)
        more += sum(unread[outcome] for outcome in unread if outcome not in _UNTOLD)
    if more:
        lines.append(f"  and {more} more: precache job task list {snapshot.id}")
    return lines
