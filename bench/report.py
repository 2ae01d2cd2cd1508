"""Computes figures, tables and their text from the measurements. Medians; ratios by geometric mean."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import geometric_mean, median
from typing import Any

MEGA = 1_000_000

SIDES = {"ours": "Precache", "qemu": "with qemu-img", "nova": "Nova"}

AIMS = (
    ("ratio_to_slowest_stage", "at most 1.15 of the time of the slowest stage alone", 1.15),
    ("ratio_to_nova", "at most 0.5 of Nova's time", 0.5),
    ("cpu_ratio_to_nova", "at most 0.8 of Nova's processor time", 0.8),
    ("written_ratio", "written to disk: at most 1.03 of the allocated result", 1.03),
    ("peak_mb", "peak memory at most 110 MB", 110),
    ("existing_ms", "an image that is there: at most 5 ms", 5),
)
"""By the name of the figure: the aim in words, and the highest value that meets it."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one image costs one side: medians of the times; the highest of the bytes. result_bytes: as allocated."""

    seconds: float
    cpu_s: float
    written_bytes: int
    peak_bytes: int
    result_bytes: int


@dataclass(frozen=True, slots=True)
class Row:
    """One image. by_side: the cost of each side that cached it."""

    image: str
    file_bytes: int
    is_in_means: bool
    by_side: dict[str, Cost]
    stages_s: dict[str, float]

    @property
    def ours(self) -> Cost:
        return self.by_side["ours"]

    @property
    def slowest_stage(self) -> str:
        return max(self.stages_s, key=lambda stage: self.stages_s[stage])

    @property
    def to_nova(self) -> float:
        return self.ours.seconds / self.by_side["nova"].seconds

    @property
    def cpu_to_nova(self) -> float:
        return self.ours.cpu_s / self.by_side["nova"].cpu_s

    @property
    def to_slowest_stage(self) -> float:
        return self.ours.seconds / self.stages_s[self.slowest_stage]

    @property
    def written_to_result(self) -> float:
        return self.ours.written_bytes / self.ours.result_bytes


def rows(results: dict[str, Any]) -> list[Row]:
    """Return a row for each image, in the order of the measurements."""
    return [_row(name, measured, results) for name, measured in results["measured"].items()]


def figures(results: dict[str, Any]) -> dict[str, float]:
    """Return the figures for which there are aims.

    The ratios of times are geometric means over the images that count for them; `written_ratio` is their highest, and
    `peak_mb` the highest of all images.
    """
    all_rows = rows(results)
    counted = [row for row in all_rows if row.is_in_means]
    return {
        "ratio_to_nova": round(geometric_mean(row.to_nova for row in counted), 3),
        "cpu_ratio_to_nova": round(geometric_mean(row.cpu_to_nova for row in counted), 3),
        "ratio_to_slowest_stage": round(geometric_mean(row.to_slowest_stage for row in counted), 3),
        "written_ratio": round(max(row.written_to_result for row in counted), 3),
        "peak_mb": math.ceil(max(row.ours.peak_bytes for row in all_rows) / MEGA),
        "existing_ms": round(_existing_ms(results, "ours"), 2),
    }


def aims(results: dict[str, Any]) -> str:
    """Return a table in Markdown of the aims, and which of them are met."""
    found = figures(results)
    by_image: dict[str, Callable[[Row], float]] = {
        "ratio_to_slowest_stage": lambda row: row.to_slowest_stage,
        "ratio_to_nova": lambda row: row.to_nova,
        "cpu_ratio_to_nova": lambda row: row.cpu_to_nova,
        "written_ratio": lambda row: row.written_to_result,
    }
    lines = ["| aim | measured | | of each image |", "|---|---|---|---|"]
    for name, words, limit in AIMS:
        verdict = "met" if found[name] <= limit else "missed"
        each = ""
        if name in by_image:
            each = "; ".join(f"{row.image}: {by_image[name](row):.2f}" for row in rows(results) if row.is_in_means)
        lines.append(f"| {words} | {found[name]} | {verdict} | {each} |")
    return "\n".join(lines) + "\n"


def markdown(results: dict[str, Any]) -> str:
    """Return the whole result in Markdown."""
    settings, all_rows = results["settings"], rows(results)
    machine = "; ".join(f"{name}: {value}" for name, value in results["machine"].items())
    return "\n".join(
        [
            f"# An image with {settings['size_mib']} MiB of data into the cache, {settings['rounds']} rounds",
            "",
            aims(results),
            *_times(all_rows),
            "",
            "Seconds, medians. Stages alone: "
            + "; ".join(f"{row.image}: {_stages(row)}" for row in all_rows)
            + f". An image that is there: Nova {_existing_ms(results, 'nova'):.2f} ms.",
            "",
            *_costs(all_rows),
            "",
            "Processor time in seconds, medians; bytes in MB, the highest of the rounds. `file`: the image; `result`: "
            "as allocated by Precache. The image service is not included.",
            "",
            f"Measured on {machine}. Method: `bench/README.md`.",
            "",
        ]
    )


def _times(all_rows: list[Row]) -> list[str]:
    columns = ["image", *SIDES.values(), "of Nova", "slowest stage", "of it"]
    lines = [
        [
            row.image,
            *_each_side(row, lambda cost: f"{cost.seconds:.2f}"),
            f"{row.to_nova:.2f}",
            f"{row.slowest_stage} {row.stages_s[row.slowest_stage]:.2f}",
            f"{row.to_slowest_stage:.2f}",
        ]
        for row in all_rows
    ]
    return _table(columns, lines)


def _costs(all_rows: list[Row]) -> list[str]:
    def megabytes(count: int) -> str:
        return f"{count / MEGA:.0f}"

    columns = ["image", "file", "result"]
    for what in ("processor", "written", "peak"):
        columns += [f"{what}: {side}" for side in SIDES.values()]
    lines = [
        [
            row.image,
            megabytes(row.file_bytes),
            megabytes(row.ours.result_bytes),
            *_each_side(row, lambda cost: f"{cost.cpu_s:.2f}"),
            *_each_side(row, lambda cost: megabytes(cost.written_bytes)),
            *_each_side(row, lambda cost: megabytes(cost.peak_bytes)),
        ]
        for row in all_rows
    ]
    return _table(columns, lines)


def _each_side(row: Row, text: Callable[[Cost], str]) -> list[str]:
    return [text(row.by_side[side]) if side in row.by_side else "-" for side in SIDES]


def _table(columns: list[str], lines: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (columns, ["---"] * len(columns), *lines)]


def _row(name: str, measured: dict[str, list[dict[str, Any]]], results: dict[str, Any]) -> Row:
    stages = measured["stages"]
    return Row(
        image=name,
        file_bytes=results["image_bytes"][name],
        is_in_means=name in results["in_means"],
        by_side={side: _cost(measured[side]) for side in SIDES if side in measured},
        stages_s={stage: median(run[stage] for run in stages) for stage in stages[0]},
    )


def _cost(runs: list[dict[str, Any]]) -> Cost:
    return Cost(
        seconds=median(run["seconds"] for run in runs),
        cpu_s=median(run["cpu_s"] for run in runs),
        written_bytes=max(run["written_bytes"] for run in runs),
        peak_bytes=max(run["peak_bytes"] for run in runs),
        result_bytes=max(run["result_bytes"] for run in runs),
    )


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
