"""Values for people and for machines."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from precache.cli.columns import ByImage, Names, Rate, TimeLeft, Timestamp
from precache.cli.printable import on_one_line, printable

DEBIAN = "70a599e0-31e7-49b7-b260-868f441e862b"


@given(st.text())
def test_nothing_printable_can_move_the_cursor(text: str) -> None:
    assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in printable(text) if char not in "\n\t")
    assert "\n" not in on_one_line(text)


def test_a_long_list_is_only_counted() -> None:
    assert Names(["an id of thirty-six characters is wider"]).human_readable().startswith("an id")
    assert Names(["a", "b"]).human_readable() == "a, b"
    assert Names([str(n) for n in range(900)]).human_readable() == "900 of them"


def test_an_instant_has_whole_seconds_for_people_only() -> None:
    instant = Timestamp("2026-01-02T03:04:05.678901Z")

    assert instant.human_readable() == "2026-01-02 03:04:05Z"
    assert instant.machine_readable() == "2026-01-02T03:04:05.678901Z"
    assert Timestamp(None).human_readable() == ""


def test_rates_and_estimates_have_units_and_are_empty_if_unknown() -> None:
    assert [Rate(value).human_readable() for value in (None, 0, 3 * 2**20)] == ["", "0 B/s", "3.0 MiB/s"]
    assert [TimeLeft(value).human_readable() for value in (None, 90, 600)] == ["", "about 90 s", "about 10 min"]


def test_the_progress_of_each_image_is_a_line_of_a_table_and_whole_elsewhere() -> None:
    parts = [
        {
            "image": DEBIAN,
            "task_states": {"waiting": 2, "running": 1, "ended": 3},
            "counts": {"cached": 2, "error": 1},
            "bytes_done": 2**20,
            "bytes_total": 6 * 2**20,
            "rate_bytes_per_s": 2**20,
            "eta_s": 5,
        },
        {
            "image": "other",
            "task_states": {"ended": 6},
            "counts": {"existing": 6},
            "bytes_done": 0,
            "bytes_total": None,
        },
    ]

    column = ByImage(parts, {DEBIAN: "debian-12"})

    assert column.human_readable().splitlines() == [
        "debian-12: 2 waiting, 1 running, 2 cached, 1 error, 1.0 MiB of 6.0 MiB, 1.0 MiB/s, about 5 s left",
        "other: 6 existing, 0 B",
    ]
    assert column.machine_readable() == parts
