"""Draws the result of `bench/dispatch`; run with the Python of the benchmarks' own environment, which has matplotlib.

python -P bench/dispatch/plot.py RESULT.json PLOT.svg
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from statistics import median

from matplotlib import pyplot as plt

SIDES = (("bare_seconds", "bare oslo.messaging client", "#b8b8b8"), ("seconds", "Precache conductor", "#1f6f8b"))


def main() -> None:
    results = json.loads(Path(sys.argv[1]).read_text())
    sizes = list(results["measured"])
    plt.switch_backend("svg")
    plt.rcParams["svg.hashsalt"] = "precache"  # equal results give equal files
    figure, axes = plt.subplots(figsize=(8, 3.6))
    for number, (side, label, colour) in enumerate(SIDES):
        rates = [[int(size) / run[side] for run in results["measured"][size]] for size in sizes]
        places = [place + (number - 0.5) * 0.36 for place in range(len(sizes))]
        axes.bar(places, [median(each) for each in rates], 0.34, label=label, color=colour)
        for place, each in zip(places, rates, strict=True):
            axes.plot([place] * len(each), each, ".", color="black", markersize=3)
    axes.set_xticks(range(len(sizes)), [f"{size} hosts" for size in sizes])
    axes.set_ylabel("hosts per second (bar: median; dot: one run)")
    axes.set_title(f"One conductor over RabbitMQ, {results['settings']['concurrency']} calls at once")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(sys.argv[2], metadata={"Date": None})


if __name__ == "__main__":
    main()
