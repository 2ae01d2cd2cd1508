"""The choice that the first block of an image makes, while the runner of its attempt starts the other threads."""

import os
import struct

from precache.background.task_group import TaskGroup
from precache.core.orders import ImageOrder
from precache.fetch.arriving_image import ArrivingImage
from precache.fetch.attempt import Attempt
from precache.fetch.blocks import BLOCK_BYTES, Block
from precache.fetch.fetch_rules import FetchRules
from precache.fetch.space import SpaceCheck
from precache.imagecache.names import entry_name
from precache.imagecache.space.space_ledger import SpaceLedger
from precache.imagecache.staging import Staging
from precache.rules.space import FileSizes
from precache.sandbox import Sandbox
from tests.unit.fetch.world import IMAGE, record_of


def test_an_image_whose_first_block_comes_before_the_start_is_converted_once(world, make_image, disk_bytes):
    odd = len(disk_bytes) - 100  # only qemu-img reads such a disk
    data = bytearray(make_image("qcow2"))
    struct.pack_into(">Q", data, 24, odd)
    record = record_of(bytes(data), "qcow2")
    ledger = SpaceLedger(directory=world.cache, clock=world.clock)
    staging, group = Staging(world.cache, entry_name(IMAGE)), TaskGroup("test")

    with ledger.promise(staging.entry, staging.token) as promise:
        sizes = FileSizes(len(data), is_streamed=True)
        attempt = Attempt(
            record=record,
            order=ImageOrder(IMAGE),
            download=staging.path("download"),
            target=staging.path("raw"),
            space=SpaceCheck(image=record, ledger=ledger, promise=promise, sizes=sizes, reserves_whole_disk=True),
            staging=staging,
            watch=lambda *report: None,
            side=staging.path("side"),
            why_qemu_img=None,
        )
        with ArrivingImage(attempt, group=group, rules=FetchRules(), write_at=os.pwrite, sandbox=Sandbox()) as arriving:
            append(arriving, data[:BLOCK_BYTES], 0)
            arriving.start()
            append(arriving, data[BLOCK_BYTES:], BLOCK_BYTES)
            arriving.finish()
            while not group.wait(0.1):
                pass
            arriving.complete()

    assert staging.path("raw").read_bytes()[: odd // 512 * 512] == disk_bytes[: odd // 512 * 512]
    assert arriving.decoded_by == f"qemu-img (a disk of {odd} bytes)"


def append(arriving, data, offset):
    block = Block()
    block.offset, block.length = offset, len(data)
    block.view[: len(data)] = data
    arriving.append(block)
