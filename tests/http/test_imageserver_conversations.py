"""Every file in `gabbits_imageserver/` is one conversation with the embedded image service under `/image`."""

import unittest
import warnings
from pathlib import Path

import pytest
from gabbi import handlers, suitemaker, utils

from tests.http import imageserver_fixtures

DIRECTORY = Path(__file__).with_name("gabbits_imageserver")


@pytest.mark.parametrize("path", sorted(DIRECTORY.glob("*.yaml")), ids=lambda path: path.stem)
def test_conversation_goes_as_written(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # gabbi tells of names of headers that it would write otherwise
        suite = suitemaker.test_suite_from_dict(
            unittest.TestLoader(),
            path.stem,
            utils.load_yaml(yaml_file=str(path)),
            str(DIRECTORY),
            "images.example",
            9292,
            imageserver_fixtures,
            imageserver_fixtures.current_app,
            handlers=[handler() for handler in handlers.RESPONSE_HANDLERS],
            test_loader_name=path.stem,
        )

    result = unittest.TestResult()
    suite.run(result)

    assert result.testsRun > 0
    complaints = [f"{test.test_data['name']}: {text}" for test, text in result.failures + result.errors]
    assert not complaints, "\n".join(complaints)
