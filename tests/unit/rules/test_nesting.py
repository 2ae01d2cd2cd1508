import json

import pytest

from precache.rules.nesting import DEEPEST, is_too_deep


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a": ', "}")])
@pytest.mark.parametrize(("levels", "expected"), [(DEEPEST, False), (DEEPEST + 1, True), (10 * DEEPEST, True)])
def test_levels_are_counted(opening, closing, levels, expected):
    assert is_too_deep(json.loads(opening * levels + "1" + closing * levels)) is expected


@pytest.mark.parametrize("document", [None, 1, "[[[", [], {}, [[], {}]])
def test_flat_documents_are_not_deep(document):
    assert not is_too_deep(document)
