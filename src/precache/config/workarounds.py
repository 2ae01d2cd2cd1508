"""[workarounds]: Nova's options, with Nova's names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from oslo_config import cfg

from precache.config.options import OptionGroup

OPTIONS = [
    cfg.BoolOpt(
        "disable_deep_image_inspection",
        default=False,
        help="Do not inspect images before qemu-img reads them, if the inspection refuses images that are trusted. It "
        "is still checked that qemu finds the disk_format and no other file behind the image. Set the same value "
        "for Nova.",
    ),
]


@dataclass(frozen=True, slots=True)
class WorkaroundSettings:
    deep_inspection: bool


def _parse(values: Any) -> WorkaroundSettings:
    return WorkaroundSettings(deep_inspection=not values.disable_deep_image_inspection)


GROUP = OptionGroup("workarounds", "Checks that are switched off.", OPTIONS, _parse)
