"""Progress for a terminal: a view that is redrawn in place. Imports rich; imported only for --wait."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from precache.cli.printable import on_one_line
from precache.cli.wait.rate_estimate import RateEstimate
from precache.cli.wait.snapshot import Snapshot, TaskView
from precache.cli.wait.wording import amount, counted
from precache.core.sizes import human_bytes

_LINES_AROUND = 4  # the summary, its bar, the line on tasks that are not shown, and the cursor's line
_BAR_COLUMNS = 24
_WHOLE_BAR_COLUMNS = 40  # leaves space for rate and time on 80 columns

STYLES = {
    "cached": "green",
    "existing": "cyan",
    "intact": "green",
    "purged": "green",
    "pinned": "green",
    "unpinned": "green",
    "absent": "cyan",
    "unverifiable": "cyan",
    "corrupt": "red",
    "in_use": "yellow",
    "unsupported": "yellow",
    "skipped": "yellow",
    "error": "red",
    "cancelled": "magenta",
    "expired": "magenta",
}


class LiveView:
    """Redraws the view with each snapshot and not in between, so that it needs no thread.

    The view is erased at the end: the closing report and the result replace it.
    """

    def __init__(self, *, stream: TextIO, labels: Mapping[str, str], clock: Callable[[], float]) -> None:
        """clock: seconds from any start."""
        self._labels = labels
        self._clock = clock
        self._rate = RateEstimate()
        self._console = Console(file=stream, highlight=False)
        self._live = Live(console=self._console, auto_refresh=False, transient=True, vertical_overflow="crop")
        self._last: Snapshot | None = None

    def __enter__(self) -> LiveView:
        self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, snapshot: Snapshot) -> None:
        self._last = snapshot
        self._rate.add(snapshot, self._clock())
        self._draw(snapshot, "")

    def silence(self, message: str) -> None:
        if self._last is not None:
            self._draw(self._last, f"{message}; still waiting")

    def _draw(self, snapshot: Snapshot, note: str) -> None:
        rows = max(1, self._console.size.height - _LINES_AROUND)
        self._live.update(
            picture(snapshot, labels=self._labels, rows=rows, note=note, rate=self._rate.text()), refresh=True
        )


def picture(
    snapshot: Snapshot, *, labels: Mapping[str, str], rows: int, note: str = "", rate: str = ""
) -> RenderableType:
    """Return the view: the summary, then all tasks if they fit into `rows` lines, else only the running ones."""
    ended, total = snapshot.ended_count, snapshot.task_count
    summary = Text(no_wrap=True, overflow="ellipsis")
    summary.append(f"Job {snapshot.id} {snapshot.standing}: {ended} of {total} ended ({counted(snapshot.counts)})")
    if snapshot.is_whole:
        summary.append(f", {human_bytes(sum(view.bytes_done for view in snapshot.views))} received")
    if snapshot.reason:
        summary.append(f". {snapshot.reason}")
    whole = Table.grid(padding=(0, 2))  # a bar does not end its line
    whole.add_row(ProgressBar(total=max(1, total), completed=ended, width=_WHOLE_BAR_COLUMNS), Text(rate))
    parts: list[RenderableType] = [summary, whole]
    chosen, rest = shown(snapshot, rows)
    if chosen:
        parts.append(_table(chosen, labels))
    if rest:
        parts.append(Text(f"... and {rest} more", style="dim"))
    if note:
        parts.append(Text(note, style="yellow"))
    return Group(*parts)


def shown(snapshot: Snapshot, rows: int) -> tuple[Sequence[TaskView], int]:
    """Return the tasks to draw, and the number of running tasks that do not fit."""
    if snapshot.is_whole and len(snapshot.views) <= rows:
        return snapshot.views, 0
    running = snapshot.running
    return running[:rows], max(0, len(running) - rows)


def _table(views: Sequence[TaskView], labels: Mapping[str, str]) -> Table:
    table = Table.grid(padding=(0, 2), expand=False)
    for _ in range(4):
        table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis")
    has_several_images = len({view.image for view in views}) > 1
    for view in views:
        name = on_one_line(labels.get(view.image, view.name)) if has_several_images else ""
        table.add_row(Text(on_one_line(view.host)), Text(name), task_bar(view), Text(amount(view)), standing_of(view))
    return table


def task_bar(view: TaskView, width: int | None = _BAR_COLUMNS) -> RenderableType:
    """Return a bar of the task's download. width: None for what there is."""
    if view.outcome is not None:
        done = 0 if view.is_failure else 1
        return ProgressBar(total=1, completed=done, width=width)
    return ProgressBar(total=view.bytes_total or 1, completed=view.bytes_done, width=width)


def standing_of(view: TaskView) -> Text:
    if view.outcome is None:
        return Text(view.phase if view.is_running else view.state, style="" if view.is_running else "dim")
    reason = f": {on_one_line(view.reason)}" if view.reason else ""
    return Text(f"{view.outcome}{reason}", style=STYLES.get(view.outcome, ""))
