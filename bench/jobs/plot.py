"""Draws the result of `bench/jobs`; run with the Python of the benchmarks' own environment, which has matplotlib.

python -P bench/jobs/plot.py RESULT.json PLOT.svg
"""

from __future__ import annotations

import json
import sys
from itertools import chain
from pathlib import Path

from matplotlib import pyplot as plt

STEPS = (("cancel", "#8b1f3a"), ("pause", "#1f6f8b"), ("patch", "#6b8b1f"))


def main() -> None:
    results = json.loads(Path(sys.argv[1]).read_text())
    sizes = list(results["measured"])
    plt.switch_backend("svg")
    plt.rcParams["svg.hashsalt"] = "precache"  # equal results give equal files
    figure, panels = plt.subplots(1, len(sizes), figsize=(4.4 * len(sizes), 3.6), sharey=True, squeeze=False)
    for axes, size in zip(panels[0], sizes, strict=True):
        for step, colour in STEPS:
            times = sorted(chain.from_iterable(one["obeyed_s"][step] for one in results["measured"][size]["steered"]))
            axes.step(times, [(place + 1) / len(times) for place in range(len(times))], label=step, color=colour)
        axes.axvline(2, color="#b8b8b8", linestyle="--", linewidth=1)
        axes.set_xlim(left=0)
        axes.set_title(f"{int(size):,} hosts x {results['settings']['images']} images")
        axes.set_xlabel("seconds after the request")
        axes.spines[["top", "right"]].set_visible(False)
    panels[0][0].set_ylabel("share of the running hosts that obey")
    panels[0][-1].legend(frameon=False, loc="lower right")
    figure.tight_layout()
    figure.savefig(sys.argv[2], metadata={"Date": None})


if __name__ == "__main__":
    main()
