"""The port `Policy` on oslo.policy, OpenStack's policy language.

The rules of the policy file override the defaults, and the file is read again when it changes. It is read here because
the library treats a missing file as empty. Here the previous rules stay in force if the file can no longer be read, and
the log says so once.
"""

from __future__ import annotations

import logging
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import yaml
from oslo_config import cfg
from oslo_policy import policy

from precache.core.errors import InvalidConfiguration
from precache.ports.policy import Caller, PolicyRule

_log = logging.getLogger("precache.policy")

_Fingerprint = tuple[int, int, int]


class OsloPolicy:
    """Decides by the given rules and by those of the operator's file, which override them; thread-safe."""

    def __init__(self, *, rules: Iterable[PolicyRule], policy_file: Path | None) -> None:
        """Raises InvalidConfiguration for a file that cannot be read or contains an invalid rule."""
        self._defaults = tuple(rules)
        self._file = policy_file
        self._seen = None if policy_file is None else _fingerprint(policy_file)
        self._enforcer = self._load()

    def allows(self, caller: Caller, rule: str) -> bool:
        """Return whether the rule allows the caller; an undefined rule allows no caller.

        The target is empty, as in Nova: hosts, aggregates and jobs have no owner. With the caller's ids in the target,
        `project_id:%(project_id)s` would allow every caller.
        """
        self._refresh()
        credentials = {
            "user_id": caller.user_id,
            "user_domain_id": caller.user_domain_id,
            "project_id": caller.project_id,
            "project_domain_id": caller.project_domain_id,
            "domain_id": caller.domain_id,
            "system_scope": caller.system_scope,
            "roles": list(caller.roles),
        }
        return bool(self._enforcer.enforce(rule, {}, credentials))

    def _refresh(self) -> None:
        """Read the file again if it has changed. Several threads may do so at once, with the same result."""
        if self._file is None:
            return
        found = _fingerprint(self._file)
        if found == self._seen:
            return
        self._seen = found
        try:
            self._enforcer = self._load()
            _log.info("policy_file %s was read again", self._file)
        except InvalidConfiguration as error:
            _log.error("%s; the previous rules stay in force", error)

    def _load(self) -> policy.Enforcer:
        overrides = {} if self._file is None else _read(self._file)
        rules = {rule.name: rule.check for rule in self._defaults} | overrides
        # A configuration object of its own: the global one is not used.
        enforcer = policy.Enforcer(cfg.ConfigOpts(), use_conf=False)
        with _quiet():
            enforcer.set_rules(policy.Rules.from_dict(rules), use_conf=False)
            broken = self._broken(enforcer)
        if broken:
            raise InvalidConfiguration(
                f"policy_file {self._file}: {broken[0]} refers to a rule that is not defined, or to itself"
            )
        return enforcer

    def _broken(self, enforcer: policy.Enforcer) -> list[str]:
        """Return the rules of Precache that refer to themselves or to an undefined rule; the file may be Nova's."""
        try:
            enforcer.check_rules(raise_on_violation=True)
        except policy.InvalidDefinitionError as error:
            return [rule.name for rule in self._defaults if rule.name in str(error)]
        return []


def render_sample(rules: Iterable[PolicyRule]) -> str:
    """Return a policy file with the default of every rule, commented out."""
    blocks = []
    for rule in rules:
        operations = "".join(f"# {method}  {path}\n" for method, path in rule.operations)
        description = "\n".join(textwrap.wrap(rule.description, 100, initial_indent="# ", subsequent_indent="# "))
        blocks.append(f'{description}\n{operations}#"{rule.name}": "{rule.check}"\n')
    return "\n".join(blocks)


def _fingerprint(path: Path) -> _Fingerprint | None:
    """Return a value that changes with the file; None if the file is not accessible."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _read(path: Path) -> dict[str, str]:
    """Return the rules of a policy file. Raises InvalidConfiguration."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidConfiguration(f"policy_file {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidConfiguration(f"policy_file {path} is not text in UTF-8") from error
    except yaml.YAMLError as error:
        raise InvalidConfiguration(f"policy_file {path} is not YAML: {' '.join(str(error).split())}") from error
    if document is None:
        return {}
    if not isinstance(document, Mapping):
        raise InvalidConfiguration(f'policy_file {path} must hold lines such as "compute:aggregates:images": "role:x"')
    for name, check in document.items():
        if not isinstance(name, str) or not isinstance(check, str) or not _is_understood(check):
            raise InvalidConfiguration(f"policy_file {path}: the rule of {name} cannot be understood: {check!r}")
    return dict(document)


def _is_understood(check: str) -> bool:
    """Return whether the library can parse the rule. It treats a rule that it cannot parse as `!` (never)."""
    with _quiet():
        parsed = policy.RuleDefault("candidate", check).check
    return "!" in check or "!" not in str(parsed)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the library from logging tracebacks of errors that are reported in one sentence."""

    def refuse(_record: logging.LogRecord) -> bool:
        return False

    loggers = [logging.getLogger(name) for name in ("oslo_policy._parser", "oslo_policy.policy")]
    for logger in loggers:
        logger.addFilter(refuse)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(refuse)
