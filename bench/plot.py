"""Draws the result of `bench/fetch.py`; run with the Python of the benchmark's own environment, which has matplotlib.

python -P bench/plot.py RESULT.json PLOT.svg
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from statistics import median

from matplotlib import pyplot as plt

SIDES = (("nova", "Nova's cache_image()", "#b8b8b8"), ("ours", "Precache", "#1f6f8b"))
STAGE_COLOUR = "#e0a030"


def main() -> None:
    results = json.loads(Path(sys.argv[1]).read_text())
    images = list(results["measured"])
    plt.switch_backend("svg")
    plt.rcParams["svg.hashsalt"] = "precache"  # equal results give equal files
    figure, axes = plt.subplots(figsize=(8, 3.6))
    for number, (side, label, colour) in enumerate(SIDES):
        runs = [[run["seconds"] for run in results["measured"][image][side]] for image in images]
        places = [place + (number - 0.5) * 0.36 for place in range(len(images))]
        axes.bar(places, [median(seconds) for seconds in runs], 0.34, label=label, color=colour)
        for place, seconds in zip(places, runs, strict=True):
            axes.plot([place] * len(seconds), seconds, ".", color="black", markersize=3)
    for place, image in enumerate(images):
        stages = results["measured"][image]["stages"]
        slowest = max(median(run[stage] for run in stages) for stage in stages[0])
        of_the_legend = {"label": "slowest stage alone"} if place == 0 else {}
        axes.hlines(slowest, place - 0.38, place + 0.38, color=STAGE_COLOUR, linewidth=2, **of_the_legend)
    axes.set_xticks(range(len(images)), images)
    axes.set_ylabel("seconds (bar: median; dot: one run)")
    axes.set_title(f"Into the cache: an image with {results['settings']['size_mib']} MiB of data")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(sys.argv[2], metadata={"Date": None})


if __name__ == "__main__":
    main()
