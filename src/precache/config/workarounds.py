"""[workarounds]: ways round trouble that Nova has options for, by Nova's names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from oslo_config import cfg

from precache.config.options import OptionGroup

OPTIONS = [
    cfg.BoolOpt(
        "disable_deep_image_inspection",
        default=False,
        help="Leave out the inspection of images before qemu-img reads them, where it refuses images that are trusted. "
        "That they are of their disk_format to qemu and stand on no other file is checked all the same. Nova's own "
        "option; set it for both.",
    ),
]


@dataclass(frozen=True, slots=True)
class WorkaroundSettings:
    deep_inspection: bool


def _parse(values: Any) -> WorkaroundSettings:
    return WorkaroundSettings(deep_inspection=not values.disable_deep_image_inspection)


GROUP = OptionGroup("workarounds", "What is trusted in spite of a check.", OPTIONS, _parse)
