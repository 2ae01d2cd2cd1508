"""The sites of a job as `precache job show --sites` shows them: a table of the chain of hosts for each."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from cliff.columns import FormattableColumn

from precache.cli.client import JsonObject
from precache.cli.columns import Bytes, Field, Fields, Rate, Text, cells, least_needed_first, plain
from precache.cli.formatters import Table
from precache.cli.printable import on_one_line
from precache.core.sizes import human_bytes
from precache.core.text import first_names, number_of


class LagTime(FormattableColumn[float | None]):
    """A number of seconds, which is small if all is well."""

    def human_readable(self) -> str:
        return "" if self._value is None else f"{self._value:.1f} s"


_FIELDS: Fields = {
    "host": Field(Text),
    "site": Field(Text),
    "parent": Field(Text),
    "state": Field(plain),
    "have": Field(Bytes),
    "lag": Field(Bytes, left_out=1),
    "lag_time": Field(LagTime),
    "rate": Field(Rate, left_out=2),
    "lost": Field(Text, left_out=0),
}
_STATES = {"image_service": "from the image service", "host": "receives", "wait": "waits"}
_FROM_IMAGE_SERVICE = "(image service)"


def write_sites(sites: Sequence[JsonObject], stdout: TextIO, parsed_args: argparse.Namespace) -> None:
    """Write a line and a table for each site and image."""
    for site in sites:
        stdout.write(f"\n{_heading(site)}\n")
        rows = [cells(_FIELDS, _row(host, site)) for host in site.get("hosts") or []]
        # Most chains have lost no host, and stay in one site.
        unshown = {
            "lost": all(not host.get("lost") for host in site.get("hosts") or []),
            "site": all(host.get("site") in (None, site.get("site")) for host in site.get("hosts") or []),
        }
        shown = [name for name in _FIELDS if not unshown.get(name)]
        table = Table()
        table.least_needed = least_needed_first(_FIELDS)
        without_choice = argparse.Namespace(**{**vars(parsed_args), "columns": []})
        table.emit_list(shown, [[row[name] for name in shown] for row in rows], stdout, without_choice)
    if not sites:
        stdout.write("\nNo host of the job gets an image by swarm, or that was long ago.\n")


def _heading(site: Mapping[str, Any]) -> str:
    image = on_one_line(str(site.get("image_name") or site.get("image")))
    place = on_one_line(f"site {site.get('site')} of cell {site.get('cell')}")
    size = human_bytes(site.get("size_bytes"))
    parts = [
        f"{image} in {place}: {site.get('complete')} of {number_of(site.get('host_count') or 0, 'host')} complete",
        f"{size} each" if size else "",
        f"seeder {first_names([on_one_line(str(each)) for each in site.get('seeders') or []])}"
        if site.get("seeders")
        else ("no seeder any more" if site.get("root") else "no seeder yet"),
        _root(site),
    ]
    line = ", ".join(filter(None, parts))
    return f"{line}\nFAILED: {on_one_line(str(site['reason']))}" if site.get("reason") else line


def _root(site: Mapping[str, Any]) -> str:
    if site.get("root"):
        return f"root {on_one_line(str(site['root']))}"
    attesting = site.get("attestations") or 1
    why = f": {attesting} hosts must fetch the image and find the same" if attesting > 1 else ""
    return f"root not known yet{why}"


def _row(host: Mapping[str, Any], site: Mapping[str, Any]) -> dict[str, Any]:
    source, state = host.get("source"), host.get("state")
    standing = _STATES.get(str(source), source) if state == "active" else state
    if state == "left" and site.get("root") and 0 < (site.get("size_bytes") or 0) <= (host.get("have_bytes") or 0):
        standing = "complete, left"
    return {
        "host": host.get("host"),
        "site": host.get("site"),
        "parent": _FROM_IMAGE_SERVICE if source == "image_service" else host.get("parent"),
        "state": f"{standing}, slow" if host.get("is_leaf") else standing,
        "have": host.get("have_bytes"),
        "lag": host.get("lag_bytes"),
        "lag_time": host.get("lag_s"),
        "rate": host.get("rate_bytes_per_s"),
        "lost": first_names(host.get("lost") or []),
    }
