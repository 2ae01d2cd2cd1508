"""Draws the result of `bench/swarm`; run with the Python of the benchmarks' own environment, which has matplotlib.

python -P bench/swarm/plot.py RESULT.json PLOT.svg
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from matplotlib import pyplot as plt

WAYS = (
    ("direct", "each from the image service", "#b8b8b8", "x--"),
    ("libtorrent mesh", "libtorrent, full mesh", "#c98b2b", "s-"),
    ("libtorrent chain", "libtorrent, chain", "#8b1f3a", "o-"),
    ("swarm", "Precache", "#1f6f8b", "o-"),
)


def main() -> None:
    results = json.loads(Path(sys.argv[1]).read_text())
    measured = {hosts: runs for hosts, runs in results["measured"].items() if hosts.isdecimal()}
    plt.switch_backend("svg")
    plt.rcParams["svg.hashsalt"] = "precache"  # equal results give equal files
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 3.6))
    for name, label, colour, style in WAYS:
        points = [(int(hosts), runs[name]["x"]) for hosts, runs in measured.items() if name in runs]
        if points:
            left.plot(*zip(*points, strict=True), style, label=label, color=colour)
    left.set_xscale("log", base=2)
    left.set_yscale("log")
    left.set_xticks([int(hosts) for hosts in measured], measured)
    left.set_xlabel("hosts")
    left.set_ylabel("slowest host by bytes / rate")
    for name, label, colour, _ in WAYS[1:]:
        for hosts, runs in measured.items():
            if name in runs and hosts == max(measured, key=int):
                floor_s = runs[name]["floor_s"]
                times = sorted(each / floor_s for each in runs[name]["hosts_s"])
                shares = [(number + 1) / len(times) for number in range(len(times))]
                right.step(times, shares, label=f"{label}, {hosts} hosts", color=colour, linewidth=1)
    right.set_xlabel("time by bytes / rate")
    right.set_ylabel("share of the hosts that have it")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize="x-small")
    figure.tight_layout()
    figure.savefig(sys.argv[2], metadata={"Date": None})


if __name__ == "__main__":
    main()
