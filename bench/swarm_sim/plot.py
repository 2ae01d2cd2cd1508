"""Draws the result of `bench/swarm_sim`; run with the Python of the benchmarks' own environment, which has matplotlib.

python -P bench/swarm_sim/plot.py RESULT.json PLOT.svg
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from matplotlib import pyplot as plt

COLOURS = ("#8b1f3a", "#1f6f8b", "#6b8b1f", "#b8860b", "#555555")


def main() -> None:
    results = json.loads(Path(sys.argv[1]).read_text())
    plt.switch_backend("svg")
    plt.rcParams["svg.hashsalt"] = "precache"  # equal results give equal files
    figure, (left, right) = plt.subplots(1, 2, figsize=(10.2, 3.8))
    for (name, one), colour in zip(results["measured"].items(), COLOURS, strict=False):
        shares = [1 - step / 1000 for step in range(10, 1001, 5)]
        left.step(one["shares"], shares, label=name, color=colour, linewidth=1.2)
    left.set_yscale("log")
    left.set_ylim(bottom=0.001)
    left.set_xlim(1, 4)
    left.set_xlabel("time / (size / rate of the own link)")
    left.set_ylabel("share of the hosts that take longer")
    left.legend(frameon=False, fontsize=8)
    alarms = results["false_alarms"]
    spots = range(len(alarms))
    right.bar(
        [spot - 0.2 for spot in spots], [one["x_with"] for one in alarms], 0.4, label="with the rule", color=COLOURS[1]
    )
    right.bar(
        [spot + 0.2 for spot in spots], [one["x_without"] for one in alarms], 0.4, label="without", color="#b8b8b8"
    )
    right.set_xticks(list(spots), [f"{one['epoch_s']} s" for one in alarms])
    right.set_ylim(1, 1.7)
    right.set_xlabel("rates that jitter by 50 % change every")
    right.set_ylabel("time / (size / rate), mean")
    right.legend(frameon=False, fontsize=8)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(sys.argv[2], metadata={"Date": None})


if __name__ == "__main__":
    main()
