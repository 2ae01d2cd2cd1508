"""`precache host ...` and `precache image list`."""

from __future__ import annotations

import pytest

from tests.unit.cli.conftest import Ran, Run
from tests.unit.cli.stub_service import DEBIAN, JOB_ID, UBUNTU, Reply, StubService


def test_host_list_shows_state_and_cell(run: Run) -> None:
    assert run("host", "list", "-f", "value", "-c", "name", "-c", "cell", "-c", "state").out == "cmp-1\tcell1\tup\n"


def test_host_list_shows_the_release_and_the_messages_of_a_host(run: Run) -> None:
    told = run("host", "list", "-f", "value", "-c", "release", "-c", "rpc_version")

    assert told.out == "0.1.0\t1.0\n"


def test_host_list_shows_the_site_of_a_host(run: Run) -> None:
    assert run("host", "list", "-f", "value", "-c", "site").out == "north\n"


def test_host_list_has_the_service_choose(run: Run, service: StubService) -> None:
    assert run("host", "list", "--cell", "cell1", "--state", "up", "--driver", "libvirt").code == 0
    assert service.asked[-1].query == {"cell": "cell1", "state": "up", "driver": "libvirt"}
    assert run("host", "list", "--state", "asleep").code == 2


def test_one_host_alone_is_filled(run: Run, service: StubService) -> None:
    plain = run("host", "cache", "image", "cmp-1", "debian-12", "ubuntu-24", "-f", "json")
    waited = run("host", "cache", "image", "cmp-1", "debian-12", "--wait", "--all", "-f", "json")

    asked = [(one.path, one.body) for one in service.asked if one.method == "POST"]
    assert asked[0] == ("/v1/hosts/cmp-1/images", {"cache": [{"id": DEBIAN}, {"id": UBUNTU}]})
    assert (plain.code, plain.json["id"], plain.json["host"], plain.json["aggregate"]) == (0, JOB_ID, "cmp-1", None)
    assert (waited.code, [one["outcome"] for one in waited.json["tasks"]]) == (0, ["cached"])


def test_an_unknown_host_is_refused_with_the_message_of_the_service(run: Run) -> None:
    ran = run("host", "cache", "image", "cmp-9", "debian-12")

    assert (ran.code, ran.err) == (1, "precache: Compute host cmp-9 could not be found.\n")


def test_a_host_is_forced_down_and_let_in_again(run: Run, service: StubService) -> None:
    down = run("host", "set", "cmp-1", "--down", "-f", "json")
    up = run("host", "set", "cmp-1", "--up", "-f", "json")

    assert (down.json["forced_down"], up.json["forced_down"]) == (True, False)
    assert [asked.body for asked in service.asked] == [{"forced_down": True}, {"forced_down": False}]


def test_host_set_wants_one_of_down_and_up(run: Run, service: StubService) -> None:
    assert run("host", "set", "cmp-1").code == 2
    assert run("host", "set", "cmp-1", "--up", "--down").code == 2
    assert service.asked == []


def test_a_host_name_cannot_leave_its_place_in_the_address(run: Run, service: StubService) -> None:
    ran = run("host", "set", "../jobs?x=é", "--down")

    assert ran.code == 1
    assert "Compute host ../jobs?x=é could not be found." in ran.err
    assert service.asked[0].query == {}


def test_hosts_are_deleted_as_far_as_they_can_be(run: Run, service: StubService) -> None:
    service.replies["DELETE", "/v1/hosts/cmp-2"] = Reply(409, {"error": {"message": "cmp-2 is alive"}})

    ran = run("host", "delete", "cmp-2", "cmp-1", "../cmp-1")

    assert (ran.code, ran.out) == (1, "")
    assert ran.err.splitlines() == [
        "precache: cmp-2 is alive",
        "precache: Compute host ../cmp-1 could not be found.",
        "precache: Done: cmp-1",
    ]
    assert service.requests("DELETE") == ["/v1/hosts/cmp-2", "/v1/hosts/cmp-1", "/v1/hosts/../cmp-1"]
    assert service.hosts == []


def test_hosts_that_are_deleted_are_not_talked_about(run: Run) -> None:
    assert run("host", "delete", "cmp-1") == Ran(0, "", "")


def test_host_delete_wants_a_name(run: Run, service: StubService) -> None:
    assert run("host", "delete").code == 2
    assert service.asked == []


def test_image_list_turns_every_page(run: Run, service: StubService) -> None:
    service.images = [service.image(f"00000000-0000-0000-0000-{n:012d}", f"image-{n}") for n in range(7)]
    service.page_size = 3

    ran = run("image", "list", "-f", "json")

    assert [image["name"] for image in ran.json] == [f"image-{n}" for n in range(7)]
    assert ran.json[0]["size"] == 1_300_000_000


def test_image_sizes_are_for_people_in_a_table(run: Run) -> None:
    assert "1.2 GiB" in run("image", "list").out


def test_image_service_elsewhere_is_asked_there(run: Run, service: StubService) -> None:
    ran = run("image", "list", "-f", "value", "-c", "name", environ={"PRECACHE_URL": "http://127.0.0.1:9"})
    there = run(
        "image",
        "list",
        "-f",
        "value",
        "-c",
        "name",
        environ={"PRECACHE_URL": "http://127.0.0.1:9", "PRECACHE_IMAGE_URL": f"{service.url}/image/"},
    )

    assert ran.code == 3
    assert there.out == "debian-12\nubuntu-24\n"


@pytest.mark.parametrize(("count", "said"), [(1, "1 file is still being read"), (2, "2 files are still being read")])
def test_image_list_says_that_files_are_still_being_read(run: Run, service: StubService, count: int, said: str) -> None:
    assert run("image", "list").err == ""

    service.unread_files = count

    ran = run("image", "list", "-f", "json")
    assert (ran.code, len(ran.json)) == (0, 2)
    assert said in ran.err
