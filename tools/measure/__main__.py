"""Prints the size of the program and the cost of one request, as a table in Markdown.

    python -m tools.measure [CHECKOUT] [--list]

The request is the one of Nova's clients, for one image on one host, sent to the embedded service. It counts the work of
the service's process from the request to the end of the job, without programs that it starts. A checkout without its
own environment is run by this Python, which must then have the dependencies.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from tools.measure.request import MeasurementFailed, RequestCost, measure_request
from tools.measure.source import FLOURISHES, JOB_FIELDS, TASK_FIELDS, THREAD_HOME, Sources

WHOLE_RECORD, PART_OF_RECORD = 9, 6
"""How many fields of a record a place must name to describe it wholly, and to depend on a part of it."""

IMAGE_SERVICE = "imageserver/"


def measure(checkout: Path) -> dict[str, list[str] | int]:
    """Return the counts; a list if the items can be shown."""
    sources = Sources(checkout / "src/precache")
    own = checkout / ".venv/bin/python"
    cost = measure_request(checkout / "src", own if own.exists() else Path(sys.executable))
    return {
        "files in src": len(sources.trees),
        "lines in src": len(sources.lines),
        "lines that are not empty": sum(bool(line.strip()) for line in sources.lines),
        "statements without docstrings": sources.statements(),
        **_request_rows(cost),
        **_record_rows(sources, "task", TASK_FIELDS),
        **_record_rows(sources, "job", JOB_FIELDS),
        f"`Thread(` outside `{THREAD_HOME}`": sources.thread_sites(),
        'docstrings that open with "Give" or "Say"': sources.docstrings_opening_with(FLOURISHES),
    }


def _request_rows(cost: RequestCost) -> dict[str, list[str] | int]:
    files = sorted(cost.files)
    return {
        "files entered by the request": files,
        "of these without the image service": [file for file in files if not file.startswith(IMAGE_SERVICE)],
        "functions entered by the request": list(cost.functions),
        "transactions of the request": list(cost.transactions),
    }


def _record_rows(sources: Sources, record: str, fields: frozenset[str]) -> dict[str, list[str] | int]:
    return {
        f"places that name {least} fields of a {record}": [
            str(place) for place in sources.places_naming(fields, at_least=least)
        ]
        for least in (WHOLE_RECORD, PART_OF_RECORD)
    }


def _print_table(counted: dict[str, list[str] | int]) -> None:
    width = max(map(len, counted))
    print(f"| {'what':{width}} | number |\n|{'-' * (width + 2)}|-------:|")
    for what, value in counted.items():
        print(f"| {what:{width}} | {value if isinstance(value, int) else len(value):6} |")


def _print_items(what: str, items: Iterable[str]) -> None:
    print(f"\n{what}:")
    for item in items:
        print(f"  {item}")


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the size of the program and the cost of one request.")
    parser.add_argument("checkout", nargs="?", type=Path, default=Path(), help="a checkout (default: this folder)")
    parser.add_argument("--list", action="store_true", help="name the files, functions, transactions and places too")
    arguments = parser.parse_args()
    try:
        counted = measure(arguments.checkout.absolute())
    except MeasurementFailed as error:
        print(error, file=sys.stderr)
        return 1
    _print_table(counted)
    if arguments.list:
        for what, value in counted.items():
            if not isinstance(value, int):
                _print_items(what, value)
    return 0


if __name__ == "__main__":
    sys.exit(main())
