"""Finds entries of the configuration that are no option: most of them are misspelt.

oslo.config ignores such entries, so a missing password or address would be noticed only in operation. Its own
validator is a program that writes to a log; it suggests no name and does not know a section that `auth_section` names.

An entry whose name is similar to that of an option is misspelt. Any other may be copied from nova.conf with the rest
of its section, and does no harm.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from keystoneauth1 import exceptions as ksa
from keystoneauth1 import loading
from oslo_config import cfg

from precache.adapters.native_threads import use_native_threads
from precache.config.options import OptionGroup

DEFAULT = "DEFAULT"

_ENVIRONMENT_NAME = re.compile(r"OS_([A-Z0-9_]+?)__([A-Z0-9_]+)")
_CREDENTIALS = ("service_user", "keystone_authtoken")
_MESSAGING = "oslo_messaging"
_KEY_MANAGER = ("key_manager", "barbican", "barbican_service_user", "vault")
_SIMILARITY, _LENGTH_DIFFERENCE = 0.75, 2
"""What counts as misspelt: similar by difflib's measure and of nearly the same length.

Two swapped letters in a word of four are misspelt. No option of a current nova.conf is so similar to one of these.
"""

Sections = Mapping[str, Mapping[str, Sequence[str]]]


@dataclass(frozen=True, slots=True)
class UnknownOption:
    """An entry that is no option.

    place: the file or the environment variable. option: None if the section itself is unknown.
    suggestion: the most similar name that exists, such as `transport_url` or `[image_cache]`; None if none is similar.
    """

    place: str
    section: str
    option: str | None
    suggestion: str | None

    @property
    def is_misspelt(self) -> bool:
        return self.suggestion is not None

    @property
    def found(self) -> str:
        what, kind = (f"[{self.section}]", "section") if self.option is None else (
            f"[{self.section}] {self.option}", "option"
        )  # fmt: skip
        return f"{what} in {self.place}: there is no such {kind}"

    @property
    def advice(self) -> str:
        return f"did you mean {self.suggestion}?" if self.suggestion else "it has no effect; remove it"


def unknown_options(
    files: Iterable[str], environment: Mapping[str, str], groups: Sequence[OptionGroup[Any]]
) -> list[UnknownOption]:
    """Return the entries of the files and of the environment that are no option, in their order.

    environment: only variables OS_<GROUP>__<OPTION> with a known or similar group count, because other programs use
        such names too. groups: the sections of this program, in addition to those of libraries.
    Raises OSError, cfg.ParseError or UnicodeDecodeError for a file that cannot be read.
    """
    found: list[UnknownOption] = []
    for file in files:
        sections: dict[str, dict[str, list[str]]] = {}
        cfg.ConfigParser(file, sections).parse()
        found += _unknown_in(file, sections, _Vocabulary(groups, sections))
    return found + list(_unknown_variables(environment, _Vocabulary(groups, {})))


class _Vocabulary:
    """The names of all sections and options. Those of large libraries are loaded only if needed."""

    def __init__(self, groups: Sequence[OptionGroup[Any]], sections: Sections) -> None:
        self._own: dict[str, set[str]] = {}
        for group in groups:
            self._own.setdefault(_lower(group.name or DEFAULT), set()).update(_names(group.options))
        self._sections = {_lower(name): options for name, options in sections.items()}
        self._borrowed = {_lower(value) for options in sections.values() for value in options.get("auth_section", ())}

    def sections(self) -> set[str]:
        return {*self._own, *_CREDENTIALS, *_KEY_MANAGER, *self._borrowed, *self._sources(), "oslo_messaging_rabbit"}

    def options(self, section: str) -> set[str] | None:
        """Return the names of a section's options in lower case; None for a section that does not exist."""
        name = _lower(section)
        if name in self._sources():
            return set(self._sections.get(name, ()))
        if name in _KEY_MANAGER:
            return (_key_manager_names().get(name) or set(self._section(name))) | self._credentials(name)
        known = set(self._own.get(name, ()))
        if name in _CREDENTIALS or name in self._borrowed:
            known |= self._credentials(name)
        if name == _lower(DEFAULT):
            known |= {"config_source", "config_file", "config_dir"} | _log_names()
        if name.startswith(_MESSAGING) or (name == _lower(DEFAULT) and not self._section(name).keys() <= known):
            known |= _messaging_names().get(name, set())
        return known or None

    def _section(self, name: str) -> Mapping[str, Sequence[str]]:
        return self._sections.get(name, {})

    def _sources(self) -> set[str]:
        """Return the sections that describe further sources of configuration; each kind has its own options."""
        values = self._section(_lower(DEFAULT)).get("config_source", ())
        return {_lower(name.strip()) for value in values for name in value.split(",")}

    def _credentials(self, name: str) -> set[str]:
        known = _names([*loading.get_auth_common_conf_options(), *loading.get_session_conf_options()])
        if name == "keystone_authtoken":
            known |= _authtoken_names()
        for plugin in self._section(name).get("auth_type", ["password"]):
            try:
                known |= _names(loading.get_auth_plugin_conf_options(plugin.strip()))
            except ksa.NoMatchingPlugin:  # for which there is a separate message
                known |= set(self._section(name))
        return known


def _unknown_in(place: str, sections: Sections, vocabulary: _Vocabulary) -> Iterator[UnknownOption]:
    for section, options in sections.items():
        known = vocabulary.options(section)
        if known is None:
            suggestion = _nearest(section, vocabulary.sections(), lambda name: f"[{name}]")
            yield UnknownOption(place, section, None, suggestion)
            continue
        for option in options:
            if _lower(option) not in known:
                yield UnknownOption(place, section, option, _nearest(option, known))


def _unknown_variables(environment: Mapping[str, str], vocabulary: _Vocabulary) -> Iterator[UnknownOption]:
    for variable in environment:
        if not (match := _ENVIRONMENT_NAME.fullmatch(variable)):
            continue
        section, option = match[1].lower(), match[2].lower()
        known = vocabulary.options(section)
        if known is None:
            if suggestion := _nearest(section, vocabulary.sections(), lambda name: f"OS_{name.upper()}__"):
                yield UnknownOption(f"the environment variable {variable}", section, None, suggestion)
        elif option not in known:
            suggestion = _nearest(option, known, lambda name: f"OS_{match[1]}__{name.upper()}")
            yield UnknownOption(f"the environment variable {variable}", _written(section), option, suggestion)


def _nearest(name: str, known: Iterable[str], form: Callable[[str], str] = str) -> str | None:
    alike = sorted(each for each in known if abs(len(each) - len(name)) <= _LENGTH_DIFFERENCE)
    near = difflib.get_close_matches(_lower(name), alike, n=1, cutoff=_SIMILARITY)
    return form(_written(near[0])) if near else None


def _written(section: str) -> str:
    return DEFAULT if section == _lower(DEFAULT) else section


def _lower(name: str) -> str:
    return name.strip().lower().replace("-", "_")


def _names(options: Iterable[cfg.Opt]) -> set[str]:
    names: set[str] = set()
    for option in options:
        names |= {_lower(option.name), _lower(option.dest)}
        names |= {_lower(old.name) for old in option.deprecated_opts if old.name}
    return names


def _log_names() -> set[str]:
    from oslo_log import _options

    return _names(option for _, options in _options.list_opts() for option in options)


def _messaging_names() -> dict[str, set[str]]:
    use_native_threads()  # must precede the import below
    from oslo_messaging.opts import list_opts

    return {_lower(str(group or DEFAULT)): _names(options) for group, options in list_opts()}


def _key_manager_names() -> dict[str, set[str]]:
    """Return castellan's options; none if it is not installed, because then no process reads these sections."""
    try:
        from castellan.options import list_opts
    except ImportError:
        return {}
    return {_lower(str(group or DEFAULT)): _names(options) for group, options in list_opts()}


def _authtoken_names() -> set[str]:
    from keystonemiddleware.opts import list_auth_token_opts

    return _names(option for _, options in list_auth_token_opts() for option in options)
