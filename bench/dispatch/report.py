"""Computes figures and a table from the measurements. Medians over the rounds."""

from __future__ import annotations

import math
from statistics import median
from typing import Any

MEGA = 1_000_000
COLUMNS = ("hosts", "hosts/s", "bare calls/s", "of it", "request to end, s", "statements", "for each host")


def figures(results: dict[str, Any]) -> dict[str, float]:
    """Return the figures of the largest job for which there are targets."""
    largest = max(results["measured"], key=int)
    row = _row(int(largest), results["measured"][largest])
    return {
        "hosts_per_s": round(row["hosts_per_s"], 1),
        "ratio_to_bare_rpc": round(row["ratio"], 3),
        "sql_per_host": round(row["statements"] / int(largest), 4),
        "conductor_mb": math.ceil(results["peak_bytes"]["conductor"] / MEGA),
    }


def markdown(results: dict[str, Any]) -> str:
    """Return the whole result in Markdown."""
    settings, peak = results["settings"], results["peak_bytes"]
    machine = "; ".join(f"{name}: {value}" for name, value in results["machine"].items())
    lines = [
        f"# One conductor, {settings['concurrency']} calls at once, median of {settings['rounds']}",
        "",
        f"| {' | '.join(COLUMNS)} |",
        "|---" * len(COLUMNS) + "|",
        *(_line(int(count), _row(int(count), rounds)) for count, rounds in results["measured"].items()),
        "",
        f"Heartbeats that the conductor takes from its queue and stores: {_beats_per_s(results):.0f} a second, "
        "one message each.",
        "",
        f"Peak memory: conductor {peak['conductor'] / MEGA:.0f} MB, API {peak['api'] / MEGA:.0f} MB. "
        f"Database: {settings['database']}.",
        "",
        f"Measured on {machine}. Method: `bench/README.md`.",
    ]
    return "\n".join(lines) + "\n"


def _row(count: int, rounds: list[dict[str, Any]]) -> dict[str, float]:
    return {
        "hosts_per_s": median(count / one["seconds"] for one in rounds),
        "bare_per_s": median(count / one["bare_seconds"] for one in rounds),
        "ratio": median(one["bare_seconds"] / one["seconds"] for one in rounds),
        "request_seconds": median(one["request_seconds"] for one in rounds),
        "statements": median(one["statements"] for one in rounds),
    }


def _beats_per_s(results: dict[str, Any]) -> float:
    beats = results["heartbeats"]
    return float(median(beats["hosts"] / seconds for seconds in beats["seconds"]))


def _line(count: int, row: dict[str, float]) -> str:
    cells = (
        f"{count}",
        f"{row['hosts_per_s']:.0f}",
        f"{row['bare_per_s']:.0f}",
        f"{row['ratio']:.2f}",
        f"{row['request_seconds']:.2f}",
        f"{row['statements']:.0f}",
        f"{row['statements'] / count:.3f}",
    )
    return f"| {' | '.join(cells)} |"
