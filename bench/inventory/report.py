"""Computes figures and a table from the measurements."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import median
from typing import Any

from bench.jobs.report import percentile

MEGA = 1_000_000
ROUNDS = ("new", "same", "changes")


def figures(results: dict[str, Any]) -> dict[str, float]:
    """Return the figures for which there are targets: the worst of both databases."""
    measured = results["measured"].values()
    views = [times for one in measured for times in one["views_s"].values()]
    most = max(one["rounds"][kind]["statements"] for one in measured for kind in ("new", "same"))
    return {
        "full_report_s": round(max(one["rounds"]["new"]["seconds"] for one in measured), 1),
        "view_p99_ms": round(max(percentile(times, 99) for times in views) * 1000, 1),
        "sql_per_host": round(most / results["settings"]["hosts"], 3),
        "host_listing_ms": round(median(results["listing_s"]["first"]) * 1000, 1),
        "memory_mb": math.ceil(max(one["peak_bytes"] for one in measured) / MEGA),
    }


def markdown(results: dict[str, Any]) -> str:
    """Return the whole result in Markdown."""
    settings, measured = results["settings"], results["measured"]
    listing = {kind: median(times) * 1000 for kind, times in results["listing_s"].items()}
    machine = "; ".join(f"{name}: {value}" for name, value in results["machine"].items())
    views = next(iter(measured.values()))["views_s"]
    rows: dict[str, Callable[[dict[str, Any]], str]] = {
        "reports of everything, all new: s, hosts/s": lambda one: _rate(settings, one, "new"),
        "reports of everything, nothing new: s, hosts/s": lambda one: _rate(settings, one, "same"),
        "reports of one change each: s, hosts/s": lambda one: _rate(settings, one, "changes"),
        "statements for each host (new, same, changes)": lambda one: ", ".join(
            f"{one['rounds'][kind]['statements'] / settings['hosts']:.3f}" for kind in ROUNDS
        ),
        "processor time of the conductor, s (new, same, changes)": lambda one: ", ".join(
            f"{one['rounds'][kind]['processor_s']:.1f}" for kind in ROUNDS
        ),
        **{f"{name}, ms (p50, p99)": lambda one, name=name: _both(one["views_s"][name]) for name in views},
        "peak memory of the conductor, MB": lambda one: f"{one['peak_bytes'] / MEGA:.0f}",
    }
    lines = [
        f"# Inventory of {settings['hosts']:,} hosts with {settings['entries']} images each",
        "",
        f"| {' | '.join(('', *measured))} |",
        "|---" * (len(measured) + 1) + "|",
        *(f"| {name} | {' | '.join(cell(one) for one in measured.values())} |" for name, cell in rows.items()),
        "",
        f"A host lists {results['settings']['listed']:,} entries with records in {listing['first']:.0f} ms, and again "
        f"in {listing['again']:.0f} ms (medians).",
        "",
        f"Measured on {machine}. Method: `bench/README.md`.",
    ]
    return "\n".join(lines) + "\n"


def _rate(settings: dict[str, Any], one: dict[str, Any], kind: str) -> str:
    seconds = one["rounds"][kind]["seconds"]
    return f"{seconds:.1f}, {settings['hosts'] / seconds:,.0f}"


def _both(times: list[float]) -> str:
    return f"{median(times) * 1000:.1f}, {percentile(times, 99) * 1000:.1f}"
