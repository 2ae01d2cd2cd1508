"""The table of the simulation, and its figures."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from bench.swarm_sim.site import CAUSES


def figures(results: dict[str, Any]) -> dict[str, float]:
    """Return the figures for which there are aims: of the largest number of hosts."""
    largest = results["measured"][results["largest"]]
    found = {name: round(largest[name], 3) for name in ("p50", "p99", "p999")}
    return found | {"cern_s": round(results["cern"]["seconds"], 1)}


def markdown(results: dict[str, Any]) -> str:
    """Return the whole result in Markdown."""
    measured = results["measured"]
    cern = results["cern"]
    machine = "; ".join(f"{name}: {value}" for name, value in results["machine"].items())
    lines = [
        "# Relays of many sites, simulated with the rules of the conductors",
        "",
        "x: the time from the call of a host until it has the image, by that which its own link needs for it.",
        "",
        f"| | {' | '.join(measured)} |",
        "|---" * (len(measured) + 1) + "|",
        *(f"| {name} | {' | '.join(show(one) for one in measured.values())} |" for name, show in _ROWS.items()),
        "",
        f"**CERN's case** (1.7 GB to {cern['hosts']:,} hosts of one site at 1 Gbit/s, called by one conductor): "
        f"the last host has the image after {cern['seconds']:.1f} s. The links alone need {cern['floor_s']:.1f} s.",
        "",
        "**False alarms**: sites of 32 hosts where each link jitters by half of its rate, and none is a straggler.",
        "",
        "| rates change every | x with the rule | x without | cost | hosts named, of 32 |",
        "|---|---|---|---|---|",
        *(
            f"| {one['epoch_s']} s | {one['x_with']:.3f} | {one['x_without']:.3f} | {one['cost_percent']:+.1f} % "
            f"| {one['named']:.1f} |"
            for one in results["false_alarms"]
        ),
        "",
        "**Against measurements**: chains in network namespaces with shaped links.",
        "",
        "| chain | x measured | x simulated |",
        "|---|---|---|",
        *(f"| {name} | {real:.2f} | {simulated:.2f} |" for name, (real, simulated) in results["chains"].items()),
        "",
        f"Memory of the plan: {results['member_bytes'] / 1024:.1f} KiB for each host. "
        f"The simulation took {results['seconds']:.0f} s, and {results['peak_bytes'] / 1e6:.0f} MB in one process.",
        "",
        f"Simulated on {machine}. Method: `bench/README.md`.",
    ]
    return "\n".join(lines) + "\n"


def _ends(one: dict[str, Any]) -> int:
    messages: dict[str, int] = one["messages"]
    return messages["join"] + messages["complete"]


def _late(cause: str, one: dict[str, Any]) -> str:
    return f"{one['late_percent'][cause]:.2f} %"


_ROWS: dict[str, Callable[[dict[str, Any]], str]] = {
    "sites": lambda one: f"{one['sites']}",
    "x, p50": lambda one: f"{one['p50']:.2f}",
    "x, p99": lambda one: f"{one['p99']:.2f}",
    "x, p99.9": lambda one: f"{one['p999']:.2f}",
    "x, most": lambda one: f"{one['most']:.2f}",
    "hosts above 1.5, in all": lambda one: f"{sum(one['late_percent'].values()):.2f} %",
    **{f"in sites with {cause}": partial(_late, cause) for cause in CAUSES},
    "hosts without the image at the end": lambda one: f"{one['unfinished']}",
    "copies from the image service, for each site": lambda one: f"{one['copies']:.3f}",
    "seconds between two regular reports": lambda one: f"{one['interval_s']:.0f}",
    "messages for each host": lambda one: f"{sum(one['messages'].values()) / one['hosts']:.1f}",
    "of these joins and completions": lambda one: (
        f"{(one['messages']['join'] + one['messages']['complete']) / one['hosts']:.1f}"
    ),
    "other messages/s, mean": lambda one: f"{one['busy_mean_per_s']:.0f}",
    "other messages/s, p99 of the seconds": lambda one: f"{one['busy_per_s']:.0f}",
    "new assignments sent, for each host": lambda one: f"{one['casts'] / one['hosts']:.2f}",
    "processor time of the rules for each message": lambda one: f"{one['cpu_us']:.0f} us",
    "the longest of them": lambda one: f"{one['worst_cpu_ms']:.0f} ms",
    "stragglers named": lambda one: f"{one['named']}",
    "named after, p50 / p90": lambda one: f"{one['named_p50_s']:.1f} / {one['named_p90_s']:.1f} s",
    "others named": lambda one: f"{one['wrongly_named']}",
}
