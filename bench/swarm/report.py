"""Computes figures and a table from the measurements."""

from __future__ import annotations

from typing import Any

COLUMNS = ("hosts", "run", "seconds", "x", "copies from the origin", "processor s", "idle", "memory MiB")
MIB = 1 << 20


def figures(results: dict[str, Any]) -> dict[str, float | None]:
    """Return the figures for which there are aims; None for what this run has not measured."""
    measured, sizes = results["measured"], results["settings"]["sizes"]
    sites = [hosts for hosts in measured if hosts.isdecimal()]
    middle = "16" if "16" in sites else max(sites, key=int, default="")

    def x(hosts: str, run: str) -> float | None:
        one = measured.get(hosts, {}).get(run)
        return round(one["x"], 3) if one else None

    swarm = [one for runs in measured.values() for name, one in runs.items() if name in ENDED_BY_ALL]
    direct, ours = x(middle, "direct"), x(middle, "end to end")
    delta = measured.get(middle, {}).get("next version")
    torrents = [x(middle, f"libtorrent {way}") for way in ("chain", "mesh")]
    return {
        **{f"x_{hosts}": x(hosts, "swarm") for hosts in ("16", "32", "64")},
        "end_to_end_16": x(middle, "end to end"),
        "end_to_end_quarter_16": x(middle, "end to end, uplink 1/4"),
        "origin_copies": max((one["origin_copies"] for one in swarm), default=None),
        "delta_ratio": max(delta["moved_ratio"], delta["uplink_ratio"]) if delta else None,
        "speedup_vs_direct_16": round(direct / ours, 1) if direct and ours else None,
        "libtorrent_x_16": min((each for each in torrents if each), default=None),
        "depth_ratio": _ratio(x("64", "swarm"), x("8", "swarm")),
        "relay_cpu_s_per_gib": _cpu_per_gib(measured, sizes, "fast links"),
        "relay_cpu_s_per_gib_strict_16": _cpu_per_gib(measured, sizes, middle),
        "memory_mib": max((round(one["memory_bytes"] / MIB, 1) for one in swarm), default=None),
    }


ENDED_BY_ALL = ("swarm", "end to end", "end to end, uplink 1/4")
"""The runs in which nothing fails."""


def markdown(results: dict[str, Any]) -> str:
    """Return the whole result in Markdown."""
    settings = results["settings"]
    machine = "; ".join(f"{name}: {value}" for name, value in results["machine"].items())
    lines = [
        "# Images to all hosts of a site",
        "",
        f"| {' | '.join(COLUMNS)} |",
        "|---" * len(COLUMNS) + "|",
        *(_line(hosts, name, one) for hosts, runs in results["measured"].items() for name, one in runs.items()),
        "",
        "Sizes: "
        + "; ".join(
            f"{hosts}: {size['image_mib']} MiB at {size['mbit_per_s']} Mbit/s, burst {size['burst_bytes'] // 1000} kB "
            f"(direct: {size['direct_mib']} MiB)"
            for hosts, size in settings["sizes"].items()
        )
        + ". x: time of the slowest host by the least time that the links admit, bytes by rate.",
        "",
        f"Measured on {machine}. Method: `bench/README.md`.",
    ]
    return "\n".join(lines) + "\n"


def _line(hosts: str, name: str, one: dict[str, Any]) -> str:
    cells = (
        hosts,
        name,
        f"{one['seconds']:.1f}",
        f"{one['x']:.2f}",
        f"{one['origin_copies']:.2f}" if one["origin_bytes"] else "",
        f"{one['cpu_s']:.1f}",
        f"{one['idle']:.0%}",
        f"{one['memory_bytes'] / MIB:.0f}" if one["memory_bytes"] else "",
    )
    return f"| {' | '.join(cells)} |"


def _ratio(above: float | None, below: float | None) -> float | None:
    return round(above / below, 2) if above and below else None


def _cpu_per_gib(measured: dict[str, Any], sizes: dict[str, Any], hosts: str) -> float | None:
    """Return the most processor seconds per GiB that a host has used which received and passed on the image."""
    one = measured.get(hosts, {}).get("swarm")
    return round(one["relay_cpu_s"] / (sizes[hosts]["image_mib"] / 1024), 1) if one else None
