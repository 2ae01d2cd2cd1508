"""Computes figures, a table and its text from the measurements. Medians; ratios by geometric mean."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import geometric_mean, median
from typing import Any

MEGA = 1_000_000

COLUMNS = (
    *("image", "Precache", "Nova", "of Nova", "slowest stage", "of it"),
    *("written", "at most", "Nova wrote", "peak", "Nova's peak"),
)


@dataclass(frozen=True, slots=True)
class Row:
    """The medians of one image. *_written: bytes written. allowed_bytes: size of download plus result."""

    image: str
    ours_s: float
    nova_s: float
    stages_s: dict[str, float]
    ours_written: int
    nova_written: int
    allowed_bytes: int
    ours_peak: int
    nova_peak: int

    @property
    def slowest_stage(self) -> str:
        return max(self.stages_s, key=lambda stage: self.stages_s[stage])

    @property
    def to_nova(self) -> float:
        return self.ours_s / self.nova_s

    @property
    def to_slowest_stage(self) -> float:
        return self.ours_s / self.stages_s[self.slowest_stage]


def rows(results: dict[str, Any]) -> list[Row]:
    """Return a row for each image, in the order of the measurements."""
    return [_row(name, measured, results["image_bytes"][name]) for name, measured in results["measured"].items()]


def figures(results: dict[str, Any]) -> dict[str, float]:
    """Return the figures for which there are targets. The ratios are geometric means over the images."""
    all_rows = rows(results)
    return {
        "ratio_to_nova": round(geometric_mean([row.to_nova for row in all_rows]), 3),
        "ratio_to_slowest_stage": round(geometric_mean([row.to_slowest_stage for row in all_rows]), 3),
        "peak_mb": math.ceil(max(row.ours_peak for row in all_rows) / MEGA),
        "existing_ms": round(_existing_ms(results, "ours"), 2),
    }


def markdown(results: dict[str, Any]) -> str:
    """Return the whole result in Markdown."""
    settings, summary = results["settings"], figures(results)
    machine = "; ".join(f"{name}: {value}" for name, value in results["machine"].items())
    lines = [
        f"# An image with {settings['size_mib']} MiB of data into the cache, median of {settings['rounds']}",
        "",
        f"| {' | '.join(COLUMNS)} |",
        "|---" * len(COLUMNS) + "|",
        *(_line(row) for row in rows(results)),
        "",
        f"Of Nova's time (geometric mean): {summary['ratio_to_nova']}. Of the slowest stage alone (geometric mean): "
        f"{summary['ratio_to_slowest_stage']}. An image that is there: {summary['existing_ms']} ms, Nova "
        f"{_existing_ms(results, 'nova'):.2f} ms. Peak memory, children included: {summary['peak_mb']} MB.",
        "",
        "Times in seconds, bytes in MB. `at most`: the download and the result as allocated. Stages alone: "
        + "; ".join(f"{row.image}: {_stages(row)}" for row in rows(results))
        + ".",
        "",
        f"Measured on {machine}. Method: `bench/README.md`.",
    ]
    return "\n".join(lines) + "\n"


def _row(name: str, measured: dict[str, list[dict[str, Any]]], image_bytes: int) -> Row:
    ours, nova = measured["ours"], measured["nova"]
    return Row(
        image=name,
        ours_s=median(run["seconds"] for run in ours),
        nova_s=median(run["seconds"] for run in nova),
        stages_s={stage: median(run[stage] for run in measured["stages"]) for stage in measured["stages"][0]},
        ours_written=max(run["written_bytes"] for run in ours),
        nova_written=max(run["written_bytes"] for run in nova),
        allowed_bytes=image_bytes + max(run["result_bytes"] for run in ours),
        ours_peak=max(run["peak_bytes"] for run in ours),
        nova_peak=max(run["peak_bytes"] for run in nova),
    )


def _line(row: Row) -> str:
    cells = [
        row.image,
        f"{row.ours_s:.2f}",
        f"{row.nova_s:.2f}",
        f"{row.to_nova:.2f}",
        f"{row.slowest_stage} {row.stages_s[row.slowest_stage]:.2f}",
        f"{row.to_slowest_stage:.2f}",
        *(
            f"{count / MEGA:.0f}"
            for count in (row.ours_written, row.allowed_bytes, row.nova_written, row.ours_peak, row.nova_peak)
        ),
    ]
    return f"| {' | '.join(cells)} |"


def _stages(row: Row) -> str:
    return ", ".join(f"{stage} {seconds:.2f}" for stage, seconds in row.stages_s.items())


def _existing_ms(results: dict[str, Any], side: str) -> float:
    calls: list[float] = [
        milliseconds
        for measured in results["measured"].values()
        for run in measured[side]
        for milliseconds in run.get("existing_ms", [])
    ]
    return median(calls)
