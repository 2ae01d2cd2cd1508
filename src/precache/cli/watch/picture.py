"""The screen of `precache job watch`. Imports rich."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from precache.cli.columns import human_seconds
from precache.cli.printable import on_one_line
from precache.cli.wait.live import STYLES, standing_of, task_bar
from precache.cli.wait.snapshot import TaskView
from precache.cli.wait.wording import amount, counted
from precache.cli.watch.groups import TaskSums, by_site, slowest
from precache.cli.watch.job_model import JobModel
from precache.core.sizes import human_bytes

_WHOLE_BAR_COLUMNS = 40
_BAR_COLUMNS = 20
_HOST_COLUMNS = 32
_IMAGE_COLUMNS = 24
_HEAD_LINES = 3
_MOST = {"sites": 12, "slowest": 10, "failed": 10, "changed": 8}
"""The most lines of each part, without its heading; in this order they get the lines of the screen."""

_LEAST = 2
"""The fewest lines of a part, without its heading: a smaller one is left out."""

_Part = tuple[str, list[Sequence[RenderableType]]]


def screen(model: JobModel, *, site_of: Callable[[TaskView], str], lines: int, note: str = "") -> RenderableType:
    """Return the screen, with at most so many lines. site_of: the site or cell of a task. note: shown at the end."""
    parts = _parts(model, site_of)
    room = shares([len(rows) for _, rows in parts], lines - _HEAD_LINES - bool(note))
    shown: list[RenderableType] = [*_head(model)]
    for (heading, rows), share in zip(parts, room, strict=True):
        if share:
            shown += [Text(heading, style="bold"), _table(rows[:share])]
    if note:
        shown.append(Text(note, style="yellow", no_wrap=True, overflow="ellipsis"))
    return Group(*shown)


def shares(wanted: Sequence[int], lines: int) -> list[int]:
    """Return how many of the wanted lines each part gets; each shown part also takes one for its heading.

    First each gets a few, the first ones first; what is left then goes to the first parts that want more.
    """
    given = [0] * len(wanted)
    left = lines
    for place, number in enumerate(wanted):
        few = min(number, _LEAST)
        if few and few + 1 <= left:
            given[place] = few
            left -= few + 1
    for place, number in enumerate(wanted):
        more = min(number - given[place], left) if given[place] else 0
        given[place] += more
        left -= more
    return given


def _head(model: JobModel) -> list[RenderableType]:
    snapshot = model.snapshot()
    name = f" {on_one_line(str(model.job['name']))}" if model.job.get("name") else ""
    reason = f" ({on_one_line(str(model.job['reason']))})" if model.job.get("reason") else ""
    title = Text(f"Job {snapshot.id}{name} {snapshot.standing}{reason}", no_wrap=True, overflow="ellipsis")
    ended, total = snapshot.ended_count, snapshot.task_count
    counts = Text(no_wrap=True, overflow="ellipsis")
    counts.append(f"{ended} of {total} ended ({counted(snapshot.counts)})")
    for outcome, style in STYLES.items():
        counts.highlight_words([f" {outcome}"], style)
    bar = Table.grid(padding=(0, 2))  # a bar does not end its line
    bar.add_column(max_width=_WHOLE_BAR_COLUMNS)
    bar.add_column(no_wrap=True, overflow="ellipsis")
    bar.add_row(ProgressBar(total=max(1, total), completed=ended), Text(_speed(model)))
    return [title, counts, bar]


def _speed(model: JobModel) -> str:
    done, total = model.job.get("bytes_done"), model.job.get("bytes_total")
    rate, eta = model.job.get("rate_bytes_per_s"), model.job.get("eta_s")
    of_total = f" of {human_bytes(total)}" if total else ""
    return ", ".join(
        filter(
            None,
            (
                f"{human_bytes(done)}{of_total}" if done is not None else "",
                f"{human_bytes(rate)}/s" if rate else "",
                f"about {human_seconds(eta)} left" if eta is not None else "",
            ),
        )
    )


def _parts(model: JobModel, site_of: Callable[[TaskView], str]) -> list[_Part]:
    """Return the parts by importance, each with its heading and its rows."""
    tasks = list(model.tasks)
    has_several_images = len(model.job.get("images") or []) > 1
    failed = [task for task in tasks if task.is_failure][-_MOST["failed"] :]
    sites = by_site(tasks, site_of) if model.is_whole else {}
    running = sum(task.is_running for task in tasks)

    def named(task: TaskView) -> Sequence[RenderableType]:
        image = Text(_shortened(on_one_line(task.name), _IMAGE_COLUMNS)) if has_several_images else Text("")
        return Text(_shortened(on_one_line(task.host), _HOST_COLUMNS)), image

    return [
        (f"Failed: {model.snapshot().failure_count}", [(*named(task), standing_of(task)) for task in failed]),
        (
            f"Slowest of {running} running",
            [(*named(task), *_pace(task)) for task in slowest(tasks, _MOST["slowest"])],
        ),
        (f"Sites: {len(sites)}", [_site(*site) for site in list(sites.items())[: _MOST["sites"]]]),
        (
            "Last changes",
            [
                (*named(change.task), standing_of(change.task), Text(f"{change.at.astimezone():%H:%M:%S}", style="dim"))
                for change in list(model.changes)[: _MOST["changed"]]
            ],
        ),
    ]


def _pace(task: TaskView) -> Sequence[RenderableType]:
    rate = f"{human_bytes(task.rate_bytes_per_s)}/s" if task.rate_bytes_per_s is not None else ""
    return standing_of(task), Text(rate), Text(amount(task)), task_bar(task, None)


def _site(name: str, group: TaskSums) -> Sequence[RenderableType]:
    failed = Text(f"{group.failed} failed", style="red") if group.failed else Text("")
    rate = f"{human_bytes(group.rate_bytes_per_s)}/s" if group.rate_bytes_per_s else ""
    return (
        Text(_shortened(on_one_line(name), _HOST_COLUMNS) or "(no site)"),
        Text(f"{group.ended} of {group.tasks} ended"),
        Text(f"{group.running} running"),
        failed,
        Text(human_bytes(group.bytes_done)),
        Text(rate),
        ProgressBar(total=max(1, group.tasks), completed=group.ended),
    )


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}\N{HORIZONTAL ELLIPSIS}"


def _table(rows: Sequence[Sequence[RenderableType]]) -> Table:
    """Return the rows; in a narrow terminal bars and reasons are cut before all else."""
    table = Table.grid(padding=(0, 2), expand=False)
    has_bar = isinstance(rows[0][-1], ProgressBar)
    for place in range(len(rows[0])):
        widths = [cell.cell_len for row in rows if isinstance(cell := row[place], Text)]
        if not widths:
            table.add_column(max_width=_BAR_COLUMNS)
        else:
            table.add_column(no_wrap=True, overflow="ellipsis", min_width=max(widths) if has_bar or place < 2 else None)
    for row in rows:
        table.add_row(*row)
    return table
