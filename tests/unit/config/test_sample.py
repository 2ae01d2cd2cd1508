"""The sample file of the documentation says what the code reads."""

from pathlib import Path

from precache.config.load import GROUPS
from precache.wiring.commands.config import sample_config

SAMPLE = Path(__file__).parents[3] / "docs" / "precache.conf.sample"


def test_the_sample_in_the_documentation_is_what_the_command_prints():
    assert SAMPLE.read_text() == sample_config(), "run: .venv/bin/precache config sample > docs/precache.conf.sample"


def test_every_option_is_in_the_sample_with_its_meaning():
    text = sample_config()

    for group in GROUPS:
        for option in group.options:
            assert f"\n#{option.dest} =" in text
            assert option.help
