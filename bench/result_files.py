"""The files of a benchmark's result: all measurements, a table, and a plot where matplotlib is installed."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SCRATCH = ROOT / "var" / "bench"
RESULTS = ROOT / "bench" / "results"
PLOT_PYTHON = SCRATCH / "venv" / "bin" / "python"


def write_results(name: str, results: dict[str, Any], table: str, *, is_full: bool) -> None:
    """Write `<name>.json`, `.md` and `.svg`. A run of full size goes to the results that are kept with the project."""
    folder = RESULTS if is_full else SCRATCH / "results"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(results, indent=1) + "\n")
    (folder / f"{name}.md").write_text(table)
    plot = Path(__file__).parent / name / "plot.py"
    if PLOT_PYTHON.exists():
        subprocess.run([PLOT_PYTHON, "-P", plot, folder / f"{name}.json", folder / f"{name}.svg"], check=True)
    else:
        print("no plot: matplotlib is not installed in var/bench/venv")
