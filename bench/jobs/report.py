"""Computes figures and a table from the measurements. Percentiles are over all hosts or reads of all rounds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import chain
from statistics import median
from typing import Any

MEGA = 1_000_000
STEPS = ("cancel", "pause", "patch")


def percentile(values: Iterable[float], percent: float) -> float:
    """Return the smallest value that is not below this percentage of the values."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def figures(results: dict[str, Any]) -> dict[str, float]:
    """Return the figures for which there are targets: the worst of all sizes, and the growth from first to last."""
    measured = results["measured"]
    smallest, largest = min(measured, key=int), max(measured, key=int)
    steered = [one for size in measured.values() for one in size["steered"]]
    found = {f"{step}_p99_s": round(percentile(_obeyed(steered, step), 99), 2) for step in STEPS}
    found["read_p99_ms"] = round(max(percentile(_reads(steered, what), 99) for what in ("job", "tasks")) * 1000, 1)
    found["progress_age_s"] = round(max(chain.from_iterable(one["ages_s"] for one in steered)), 2)
    found["sse_events_per_s"] = round(median(one["events_per_s"] for one in steered))
    found["sql_per_task"] = round(_statements(results, largest), 4)
    found["memory_mb"] = math.ceil(sum(results["peak_bytes"].values()) / MEGA)
    found["growth_10x"] = round(_seconds(measured[largest]) / _seconds(measured[smallest]), 2)
    return found


def markdown(results: dict[str, Any]) -> str:
    """Return the whole result in Markdown."""
    settings, peak = results["settings"], results["peak_bytes"]
    sizes = results["measured"]
    machine = "; ".join(f"{name}: {value}" for name, value in results["machine"].items())
    columns = ("", *(f"{int(size):,} hosts" for size in sizes))
    lines = [
        f"# Jobs of {settings['images']} images, {settings['concurrency']} hosts at once, {settings['rounds']} rounds",
        "",
        f"| {' | '.join(columns)} |",
        "|---" * len(columns) + "|",
        *(f"| {name} | {' | '.join(_cells(results, name))} |" for name in _ROWS),
        "",
        f"Peak memory: conductor {peak['conductor'] / MEGA:.0f} MB, API {peak['api'] / MEGA:.0f} MB. "
        f"Database: {settings['database']}.",
        "",
        f"Measured on {machine}. Method: `bench/README.md`.",
    ]
    return "\n".join(lines) + "\n"


def _cells(results: dict[str, Any], name: str) -> list[str]:
    return [_ROWS[name](results, size) for size in results["measured"]]


def _steered(results: dict[str, Any], size: str) -> list[dict[str, Any]]:
    steered: list[dict[str, Any]] = results["measured"][size]["steered"]
    return steered


def _obeyed(steered: Sequence[dict[str, Any]], step: str) -> list[float]:
    return list(chain.from_iterable(one["obeyed_s"][step] for one in steered))


def _reads(steered: Sequence[dict[str, Any]], what: str) -> list[float]:
    return list(chain.from_iterable(one["read_s"][what] for one in steered))


def _seconds(measured: dict[str, Any]) -> float:
    return median(one["seconds"] for one in measured["through"])


def _statements(results: dict[str, Any], size: str) -> float:
    tasks = int(size) * results["settings"]["images"]
    return median(one["statements"] for one in results["measured"][size]["through"]) / tasks


def _both(values: list[float], unit: float, digits: int) -> str:
    return f"{median(values) * unit:.{digits}f}, {percentile(values, 99) * unit:.{digits}f}"


_ROWS = {
    "a job to its end, s": lambda results, size: f"{_seconds(results['measured'][size]):.1f}",
    "statements for each task": lambda results, size: f"{_statements(results, size):.3f}",
    "a host obeys a cancel after s (p50, p99)": lambda results, size: _both(
        _obeyed(_steered(results, size), "cancel"), 1, 2
    ),
    "a pause": lambda results, size: _both(_obeyed(_steered(results, size), "pause"), 1, 2),
    "a change of the rate": lambda results, size: _both(_obeyed(_steered(results, size), "patch"), 1, 2),
    "read of the job, ms (p50, p99)": lambda results, size: _both(_reads(_steered(results, size), "job"), 1000, 1),
    "read of 1,000 tasks, ms (p50, p99)": lambda results, size: _both(
        _reads(_steered(results, size), "tasks"), 1000, 1
    ),
    "oldest progress, s (p50 of the reads, most)": lambda results, size: (
        f"{median(chain.from_iterable(one['ages_s'] for one in _steered(results, size))):.2f}, "
        f"{max(chain.from_iterable(one['ages_s'] for one in _steered(results, size))):.2f}"
    ),
    "events a second to 50 readers": lambda results, size: (
        f"{median(one['events_per_s'] for one in _steered(results, size)):,.0f}"
    ),
}
