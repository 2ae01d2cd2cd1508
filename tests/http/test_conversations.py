"""Every file in `conversations/` is one conversation with the real application; see gabbi for the language."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.http import fixtures
from tests.http.conversing import converse

DIRECTORY = Path(__file__).with_name("conversations")


@pytest.mark.parametrize("path", sorted(DIRECTORY.glob("*.yaml")), ids=lambda path: path.stem)
def test_conversation_goes_as_written(path):
    converse(path, "cloud.example", 8775, fixtures)
