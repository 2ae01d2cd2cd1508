"""`precache host show`, `precache image where` and `precache image list --cached`."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.cli.conftest import Run
from tests.unit.cli.stub_service import DEBIAN, UBUNTU, Reply, StubService

ENTRY = "88607926df58f2de85c9d44cd0324614a44d28b3"
AT = "2026-01-02T03:04:05.000000Z"
LATER = "2026-01-09T03:04:05.000000Z"

OF_ENTRY: dict[str, Any] = {
    "state": "present",
    "size_bytes": 4096,
    "allocated_bytes": 1024,
    "format": "raw",
    "digest": None,
    "source": "image service",
    "source_digest": None,
    "requested_by": "alice",
    "cached_at": AT,
    "last_used": AT,
    "verified_at": None,
    "verification": "unverified",
    "pins": [{"by": "job:1", "until": AT}, {"by": "job:2", "until": LATER}],
    "disks": 0,
}
CACHE: dict[str, Any] = {
    "reported_at": AT,
    "report_age_s": 200.0,
    "cache_id": "c1",
    "owner": "nova",
    "policy": None,
    "unsupported": None,
    "space": {
        "total_bytes": 2**40,
        "free_bytes": 2**39,
        "used_bytes": 5,
        "promised_bytes": 2**30,
        "reserve_bytes": 0,
    },
    "entries": {"present": 2, "missing": 1, "bytes": 2048, "pinned": 3, "corrupt": 0, "unlisted": 0},
    "alarms": [
        {
            "kind": "missing",
            "entry": ENTRY,
            "image": DEBIAN,
            "name": "debian-12",
            "text": "its pinned entry is gone",
            "since": AT,
        }
    ],
    "removals": [
        {"entry": ENTRY, "image": None, "at": f"2026-01-01T00:00:{n:02}Z", "reason": f"r{n}", "bytes_freed": 1024}
        for n in range(12)
    ],
}


def image(name: str | None = "debian-12", image_id: str | None = DEBIAN, **fields: Any) -> dict[str, Any]:
    numbers = dict.fromkeys(("unused", "intact", "corrupt", "unverifiable", "unverified"), 0)
    known = {"entry": ENTRY, "image": image_id, "name": name, "status": "active", "status_at": AT}
    return known | {"hosts": 2, "missing": 0, "bytes": 2**30, "pinned": 1} | numbers | fields


@pytest.fixture(autouse=True)
def caches(service: StubService) -> None:
    host = service.hosts[0]
    entry = {"entry": ENTRY, "image": DEBIAN, "name": "debian-12", "status": "active"} | OF_ENTRY
    on_host = {"host": "cmp-1", "cell": "cell1", "host_state": "up", "reported_at": AT, "report_age_s": 2.0} | OF_ENTRY
    service.replies |= {
        ("GET", "/v1/hosts/cmp-1"): Reply(200, {"host": host | {"cache": CACHE}}),
        ("GET", "/v1/hosts/cmp-2"): Reply(200, {"host": host | {"name": "cmp-2", "cache": None}}),
        ("GET", "/v1/hosts/cmp-3"): Reply(200, {"host": host | {"name": "cmp-3", "state": "down", "cache": CACHE}}),
        ("GET", "/v1/hosts/cmp-1/images"): Reply(200, {"report": {}, "images": [entry]}),
        ("GET", "/v1/images"): Reply(200, {"images": [image()]}),
        ("GET", f"/v1/images/{DEBIAN}/hosts"): Reply(200, {"image": image(), "hosts": [on_host]}),
        ("GET", f"/v1/images/{ENTRY}/hosts"): Reply(200, {"image": image(status="gone"), "hosts": [on_host]}),
    }


def test_a_host_is_shown_with_its_cache_in_words(run: Run) -> None:
    ran = run("host", "show", "cmp-1", "--max-width", "120")

    assert (ran.code, ran.err) == (0, "")
    assert "512.0 GiB of 1.0 TiB free, 1.0 GiB promised to images" in ran.out
    assert "2 present, 1 missing, 3 pinned, 2.0 KiB" in ran.out
    assert "2026-01-02 03:04:05Z missing: debian-12: its pinned entry is gone" in ran.out
    assert f"2026-01-01 00:00:11Z {ENTRY}: r11, 1.0 KiB freed" in ran.out
    assert "r1," not in ran.out
    assert "and 2 more" in ran.out
    assert "policy" not in ran.out


def test_the_images_of_a_host_are_a_second_table(run: Run) -> None:
    ran = run("host", "show", "cmp-1", "--images", "--max-width", "400")

    assert "debian-12" in ran.out
    assert "until 2026-01-09 03:04:05Z (2 pins)" in ran.out
    assert run("host", "show", "cmp-1", "-c", "images").code == 2


def test_a_host_is_whole_in_json(run: Run) -> None:
    shown = run("host", "show", "cmp-1", "--images", "-f", "json").json

    assert shown["space"] == CACHE["space"]
    assert shown["alarms"] == CACHE["alarms"]
    assert shown["removals"] == CACHE["removals"]
    assert shown["images"][0]["pins"] == OF_ENTRY["pins"]
    assert "images" not in run("host", "show", "cmp-1", "-f", "json").json


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("cmp-2", "cmp-2 has not reported its image cache"),
        ("cmp-3", "cmp-3 is down; it reported its image cache 3 min ago"),
    ],
)
def test_how_sure_a_cache_is_is_said(run: Run, host: str, said: str) -> None:
    ran = run("host", "show", host, "-f", "json")

    assert (ran.code, ran.err) == (0, f"precache: {said}\n")
    assert (ran.json["entries"] is None) == (host == "cmp-2")


def test_an_image_is_found_by_name_id_or_entry(run: Run, service: StubService) -> None:
    by_name = run("image", "where", "debian-12", "-f", "json")
    by_id = run("image", "where", DEBIAN.upper(), "--cell", "cell1", "--state", "present", "-f", "json")
    by_entry = run("image", "where", ENTRY.upper(), "-f", "json")

    assert by_name.json == by_id.json == by_entry.json
    assert by_id.json[0]["host"] == "cmp-1"
    assert by_id.json[0].keys() >= OF_ENTRY.keys()
    assert service.asked[0].query == {"name": "debian-12"}
    assert service.asked[2].query == {"cell": "cell1", "state": "present"}
    assert by_id.err == ""
    assert by_entry.err == "precache: debian-12 is no longer in the image service\n"


def test_a_name_of_several_images_lists_their_ids(run: Run, service: StubService) -> None:
    service.replies["GET", "/v1/images"] = Reply(200, {"images": [image(), image(image_id=UBUNTU)]})

    ran = run("image", "where", "debian-12")

    assert ran.code == 1
    assert f"2 cached images have the name 'debian-12'; give the id of one: {DEBIAN}, {UBUNTU}" in ran.err


def test_a_name_of_no_cached_image_is_refused(run: Run, service: StubService) -> None:
    service.replies["GET", "/v1/images"] = Reply(200, {"images": []})

    ran = run("image", "where", "debian-13")

    assert ran.code == 1
    assert "No cached image has the name or id 'debian-13'; 'precache image list --cached' shows all" in ran.err


def test_cached_images_are_listed_by_name(run: Run, service: StubService) -> None:
    service.replies["GET", "/v1/images"] = Reply(
        200, {"images": [image(None, None, status="unknown"), image("ubuntu", UBUNTU, missing=2), image()]}
    )

    ran = run("image", "list", "--cached", "--status", "gone", "--status", "active", "--missing", "-f", "json")
    table = run("image", "list", "--cached")

    assert [each["name"] for each in ran.json] == ["debian-12", "ubuntu", None]
    assert [each["missing"] for each in ran.json] == [0, 2, 0]
    assert ran.json[0].keys() == image().keys()
    assert service.asked[0].query == {"status": ["gone", "active"], "state": "missing"}
    assert "1.0 GiB" in table.out


def test_a_narrow_table_of_cached_images_keeps_what_needs_an_operator(run: Run) -> None:
    heads = run("image", "list", "--cached", "--max-width", "80").out.splitlines()[1]

    assert all(name in heads for name in ("name", "hosts", "missing", "status", "corrupt"))
    assert "unverified" not in heads


@pytest.mark.parametrize(("image_id", "shown"), [(DEBIAN, DEBIAN), (None, ENTRY)])
def test_a_narrow_table_says_which_image_it_is_also_without_a_name(
    run: Run, service: StubService, image_id: str | None, shown: str
) -> None:
    service.replies["GET", "/v1/images"] = Reply(200, {"images": [image(None, image_id)]})

    assert f"| {shown} " in run("image", "list", "--cached", "--max-width", "80").out


@pytest.mark.parametrize("command", [("image", "where", DEBIAN), ("host", "show", "cmp-1", "--images")])
def test_a_narrow_table_says_which_entries_are_missing(run: Run, command: tuple[str, ...]) -> None:
    lines = run(*command, "--max-width", "80").out.splitlines()

    assert any(line.startswith("|") and " state " in line and " allocated_bytes " in line for line in lines)


@pytest.mark.parametrize("option", [["--status", "gone"], ["--missing"], ["--pinned"], ["--unused"]])
def test_options_of_cached_images_need_the_option_cached(run: Run, service: StubService, option: list[str]) -> None:
    ran = run("image", "list", *option)

    assert ran.code == 2
    assert "add --cached" in ran.err
    assert service.asked == []
