"""`precache disk create`: create an instance's disk on this host, as an overlay on an image in this host's cache."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, cast

from precache.cli.client import PrecacheClient
from precache.cli.client.endpoints import Endpoints
from precache.cli.client.transport import UrllibTransport
from precache.cli.command import ShowCommand
from precache.cli.errors import UsageError
from precache.compute.create_disk import CreateDisk, Disk
from precache.config.load import Config, load_config
from precache.core.errors import InvalidConfiguration, InvalidImageId
from precache.core.images import ImageId, parse_image_id
from precache.core.jobs import Phase
from precache.wiring.commands.options import (
    OWNER_BY_DEFAULT,
    STANDALONE,
    add_config_file,
    existing_directory,
    given_path,
)
from precache.wiring.hosts import build_driver, host_setup, image_fetcher, image_service
from precache.wiring.log_output import start_logging
from precache.wiring.signatures import image_signatures

GIB = 1024**3
LARGEST_GIB = 2**21
"""2 PiB, the largest disk that a qcow2 file with its usual clusters can describe."""

# Written only by nova-compute: the hosts that share the directory, the lock of that file, and the id of the host, which
# is in Nova's state_path, by default the directory above.
_TRACES = ("compute_nodes", "locks/nova-storage-registry-lock", "compute_id", "../compute_id")


class DiskCreate(ShowCommand):
    """Create an instance's root disk on this host: a qcow2 overlay on an image in the image cache.

    If the image is not in the cache it is cached first, in the same way as by a job. Run the command on the host
    itself, as a user with write access to the cache.

    Example:
      precache disk create --image 70a599e0-31e7-49b7-b260-868f441e862b --path /var/lib/guests/web1.qcow2 --size 20
    """

    columns = ("path", "backing_file", "backing_format", "size_bytes", "image_was")

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--image", metavar="IMAGE", required=True, help="id of the image, or its name if only one has it"
        )
        parser.add_argument(
            "--path", metavar="FILE", type=given_path, required=True, help="the disk to create; must not exist"
        )
        parser.add_argument(
            "--size",
            metavar="GIB",
            type=int,
            help="size of the disk in GiB (default: the size of the image's own disk)",
        )
        parser.add_argument(
            "--instances-path",
            metavar="DIR",
            type=given_path,
            help="where this host's instances and image cache are (default: [DEFAULT] instances_path, if a "
            "configuration file sets it)",
        )
        add_config_file(parser)

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Iterable[Any]]:
        if parsed_args.size is not None and not 1 <= parsed_args.size <= LARGEST_GIB:
            raise UsageError(f"--size is a number of GiB from 1 to {LARGEST_GIB}, not {parsed_args.size}")
        config = load_config(parsed_args.config_file, STANDALONE)
        if not config.image_cache.is_precache_owner:
            is_nova = "[image_cache] owner is nova" if config.image_cache.is_owner_chosen else OWNER_BY_DEFAULT
            raise InvalidConfiguration(
                f"{is_nova}: nova-compute does not know of disks made by this command and would "
                "remove the images below them; create instances with Nova on this host, or set owner = precache"
            )
        start_logging(config, process="disk", is_quiet=True)
        path = _instances_path(config, parsed_args.instances_path)
        image = self._find_image(config, parsed_args.image)
        create = _on_this_host(config, path, self._image_url())
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _leave)  # as with Ctrl-C: partial work is undone
        size_bytes = None if parsed_args.size is None else parsed_args.size * GIB
        return self.columns, _row(create(image, parsed_args.path, size_bytes, _unwatched))

    def _find_image(self, config: Config, name_or_id: str) -> ImageId:
        """Return the image's id. An id is not looked up: the image may be cached while the image service is down."""
        try:
            return parse_image_id(name_or_id)
        except InvalidImageId:
            if not name_or_id.strip():
                raise
        if not config.glance.endpoints:
            return parse_image_id(str(self.service.images.find(name_or_id)["id"]))
        options = cast(Any, self.app).options
        endpoints = Endpoints.derive(
            options.url, image=config.glance.endpoints[0], image_setting="[glance] endpoint_override"
        )
        transport = UrllibTransport(
            timeout_s=options.http_timeout, setting_of=endpoints.setting_of, cacert=options.cacert
        )
        client = PrecacheClient(transport=transport, endpoints=endpoints)
        return parse_image_id(str(client.images.find(name_or_id)["id"]))

    def _image_url(self) -> str:
        """Return the URL of the command line's image service, for a host whose configuration has none."""
        options = cast(Any, self.app).options
        return Endpoints.derive(options.url, image=options.image_url).image.removesuffix("/v2")


def _leave(number: int, _frame: object) -> None:
    sys.exit(128 + number)


def _instances_path(config: Config, given: Path | None) -> Path:
    """Return the directory of the cache. Raises InvalidConfiguration if it may belong to Nova."""
    if given is None and not config.host.is_instances_path_chosen:
        raise InvalidConfiguration(
            f"no instances directory is set, and {config.host.instances_path} is Nova's; give --instances-path DIR, "
            "or set [DEFAULT] instances_path in the configuration file"
        )
    path = existing_directory(given or config.host.instances_path, "--instances-path")
    trace = _trace_of_nova(path)
    if trace is not None:
        raise InvalidConfiguration(
            f"{path} is the instances directory of a nova-compute, which wrote {trace} and would remove the images "
            "below disks made by this command; create instances with Nova, give another directory, or remove that "
            "file if Nova has left this host for good"
        )
    return path


def _on_this_host(config: Config, path: Path, image_url: str) -> CreateDisk:
    images = image_service(config, image_url)
    fetcher = image_fetcher(config=config, images=images, signatures=image_signatures(config))
    setup = host_setup(config=config, host=config.host.host, instances_path=path, fetcher=fetcher)
    driver = build_driver("libvirt", setup)
    driver.start()
    return CreateDisk(
        driver=driver,
        cache=setup.local_cache.open(setup.clock),
        clock=setup.clock,
        force_raw=config.host.force_raw_images,
    )


def _unwatched(phase: Phase, bytes_done: int, bytes_total: int) -> None:
    """Ignore the progress: the command prints only its result."""


def _row(disk: Disk) -> tuple[Any, ...]:
    was = "fetched" if disk.fetched else "cached"
    return str(disk.path), str(disk.backing), disk.backing_format, disk.size_bytes, was


def _trace_of_nova(instances_path: Path) -> Path | None:
    """Return a file that only nova-compute writes, in or above the directory; None if there is none. Raises OSError."""
    found = (instances_path.absolute() / trace for trace in _TRACES)
    return next((path for path in found if path.exists()), None)
