"""Draws the result of `bench/fetch.py`; run with the Python of the benchmark's own environment, which has matplotlib.

python -P bench/plot.py RESULT.json PLOT.svg
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from statistics import median
from typing import Any

from matplotlib import pyplot as plt

SIDES = (
    ("nova", "Nova's cache_image()", "#b8b8b8"),
    ("qemu", "Precache with qemu-img", "#8fb9c9"),
    ("ours", "Precache", "#1f6f8b"),
)
PANELS = (
    ("seconds", "seconds", 1),
    ("cpu_s", "seconds of a processor", 1),
    ("written_bytes", "MB written", 1_000_000),
)
"""What each panel shows: the name in the results, the label of its axis, and by what the values are divided."""

MARK_COLOUR = "#e0a030"
BAR = 0.26


def main() -> None:
    results = json.loads(Path(sys.argv[1]).read_text())
    plt.switch_backend("svg")
    plt.rcParams["svg.hashsalt"] = "precache"  # equal results give equal files
    figure, panels = plt.subplots(len(PANELS), figsize=(9, 9), sharex=True)
    for axes, (what, label, unit) in zip(panels, PANELS, strict=True):
        draw_bars(axes, results["measured"], what, unit)
        axes.set_ylabel(label)
        axes.spines[["top", "right"]].set_visible(False)
    draw_slowest_stages(panels[0], results["measured"])
    draw_results(panels[2], results["measured"])
    panels[0].set_title(f"Into the cache: an image with {results['settings']['size_mib']} MiB of data")
    panels[0].legend(frameon=False)
    panels[2].legend(frameon=False)
    panels[2].set_xticks(range(len(results["measured"])), list(results["measured"]))
    panels[2].set_xlabel("bar: median; dot: one run")
    figure.tight_layout()
    figure.savefig(sys.argv[2], metadata={"Date": None})


def draw_bars(axes: Any, measured: dict[str, Any], what: str, unit: int) -> None:
    for number, (side, label, colour) in enumerate(SIDES):
        runs = {
            place: [run[what] / unit for run in image[side]]
            for place, image in enumerate(measured.values())
            if side in image
        }
        places = [place + (number - 1) * (BAR + 0.02) for place in runs]
        axes.bar(places, [median(values) for values in runs.values()], BAR, label=label, color=colour)
        for place, values in zip(places, runs.values(), strict=True):
            axes.plot([place] * len(values), values, ".", color="black", markersize=3)


def draw_slowest_stages(axes: Any, measured: dict[str, Any]) -> None:
    values = [
        max(median(run[stage] for run in image["stages"]) for stage in image["stages"][0])
        for image in measured.values()
    ]
    draw_marks(axes, values, "slowest stage alone")


def draw_results(axes: Any, measured: dict[str, Any]) -> None:
    values = [max(run["result_bytes"] for run in image["ours"]) / 1_000_000 for image in measured.values()]
    draw_marks(axes, values, "the result, as allocated")


def draw_marks(axes: Any, values: list[float], label: str) -> None:
    for place, value in enumerate(values):
        of_the_legend = {"label": label} if place == 0 else {}
        axes.hlines(value, place - 0.42, place + 0.42, color=MARK_COLOUR, linewidth=2, **of_the_legend)


if __name__ == "__main__":
    main()
