"""Runs one gabbi file, a conversation over HTTP, against an application in this process."""

from __future__ import annotations

import unittest
import warnings
from pathlib import Path
from types import ModuleType

from gabbi import handlers, suitemaker, utils


def converse(path: Path, host: str, port: int, fixtures: ModuleType) -> None:
    """Fail with the differences from the file. fixtures: the file's fixtures by name, and `current_app`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # gabbi tells of names of headers that it would write otherwise
        suite = suitemaker.test_suite_from_dict(
            unittest.TestLoader(),
            path.stem,
            utils.load_yaml(yaml_file=str(path)),
            str(path.parent),
            host,
            port,
            fixtures,
            fixtures.current_app,
            handlers=[handler() for handler in handlers.RESPONSE_HANDLERS],
            test_loader_name=path.stem,
        )

    result = unittest.TestResult()
    suite.run(result)

    assert result.testsRun > 0
    complaints = [f"{test.test_data['name']}: {text}" for test, text in result.failures + result.errors]
    assert not complaints, "\n".join(complaints)
