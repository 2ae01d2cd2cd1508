"""How an option group is declared: oslo.config options beside the frozen dataclass that they become."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from oslo_config import cfg

Settings = TypeVar("Settings")


@dataclass(frozen=True, slots=True)
class OptionGroup(Generic[Settings]):
    """A section of the file.

    name: of the section; None is [DEFAULT]. parse: makes the settings of the section's parsed options, and
    raises InvalidConfiguration for a combination that cannot be meant.
    """

    name: str | None
    help: str
    options: Sequence[cfg.Opt]
    parse: Callable[[Any], Settings]

    def register(self, conf: cfg.ConfigOpts) -> None:
        if self.name is not None:
            conf.register_group(cfg.OptGroup(self.name, help=self.help))
        conf.register_opts(self.options, group=self.name)

    def read(self, conf: cfg.ConfigOpts) -> Settings:
        return self.parse(conf if self.name is None else conf[self.name])
