"""Draws the result of `bench/inventory`; run with the Python of the benchmarks' own environment, which has matplotlib.

python -P bench/inventory/plot.py RESULT.json PLOT.svg
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from matplotlib import pyplot as plt

COLOURS = ("#8b1f3a", "#1f6f8b")
KINDS = {"new": "all new", "same": "nothing new", "changes": "one change each"}


def main() -> None:
    results = json.loads(Path(sys.argv[1]).read_text())
    plt.switch_backend("svg")
    plt.rcParams["svg.hashsalt"] = "precache"  # equal results give equal files
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 3.6))
    width = 0.8 / len(results["measured"])
    for place, (name, one) in enumerate(results["measured"].items()):
        seconds = [one["rounds"][kind]["seconds"] for kind in KINDS]
        left.bar([spot + place * width for spot in range(len(KINDS))], seconds, width, label=name, color=COLOURS[place])
        for view, style in zip(one["views_s"], ("-", "--", ":", "-."), strict=True):
            times = sorted(1000 * each for each in one["views_s"][view])
            shares = [(number + 1) / len(times) for number in range(len(times))]
            right.step(times, shares, style, label=f"{view}, {name}", color=COLOURS[place], linewidth=1)
    left.set_xticks([spot + width * (len(results["measured"]) - 1) / 2 for spot in range(len(KINDS))], KINDS.values())
    left.set_ylabel(f"seconds for {results['settings']['hosts']:,} reports")
    right.set_xlabel("milliseconds")
    right.set_ylabel("share of the reads")
    right.axvline(200, color="#b8b8b8", linestyle="--", linewidth=1)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize="x-small")
    figure.tight_layout()
    figure.savefig(sys.argv[2], metadata={"Date": None})


if __name__ == "__main__":
    main()
