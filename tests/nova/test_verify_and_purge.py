"""Images that Nova itself has cached, and boots from them, while Precache verifies and purges."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.nova.cache_entry import entry_path
from tests.nova.site import Site, told
from tools.build_image import kept_image

pytestmark = [pytest.mark.external, pytest.mark.nova]


def test_an_image_is_taken_away_from_no_instance_and_the_next_boot_downloads_it(site: Site) -> None:
    image = site.cloud.glance.upload_file(kept_image(), disk_format="qcow2", visibility="public")
    entry = entry_path(site.compute.instances_path, image)
    with told("an instance whose image Nova has cached is verified and purged"):
        instance = site.nova.boot(image, site.compute).instance
        disk = site.compute.instances_path / instance / "disk"
        adopted, intact, in_use = (run(site, operation, image) for operation in ("verify", "verify", "purge"))
        flip_last_byte(entry)
        alarm = run(site, "verify", image)
        is_left = entry.exists()
    with told("the same after the instance is deleted"):
        site.nova.delete(instance)
        corrupt = run(site, "verify", image)
        is_moved = not entry.exists()
        again = site.nova.boot(image, site.compute).instance
        site.nova.delete(again)
        purged = run(site, "purge", image)

    assert adopted[0] == "unverifiable"
    assert intact == ("intact", "")
    assert in_use == ("in_use", f"in use by 1 disk: {disk}")
    assert alarm[0] == corrupt[0] == "corrupt"
    assert f"in use by 1 disk: {disk}" in alarm[1]
    assert is_left
    assert is_moved
    assert site.cloud.glance.data_requests(image) == 2
    assert purged == ("purged", "")
    assert not list(entry.parent.glob(f"{entry.name}*"))


def run(site: Site, operation: str, image: str) -> tuple[str, str]:
    """Run the operation on Nova's host, and return the outcome and the reason."""
    site.precache.run_job(operation=operation, images=[{"image": image}], target={"hosts": [site.compute.host]})
    (task,) = site.precache.tasks(site.precache.newest_job())
    return task["outcome"], task["reason"]


def flip_last_byte(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(-1, 2)
        byte = file.read(1)
        file.seek(-1, 2)
        file.write(bytes([byte[0] ^ 1]))
