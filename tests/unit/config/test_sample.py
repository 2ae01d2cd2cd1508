"""The sample files of the documentation say what the code reads."""

from functools import partial
from pathlib import Path

import pytest

from precache.adapters.policy_oslo import render_sample
from precache.api.policies import RULES
from precache.config.load import GROUPS
from precache.wiring.commands.config import sample_config

DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize(
    ("name", "printed"),
    [("precache.conf.sample", sample_config), ("policy.yaml.sample", partial(render_sample, RULES))],
)
def test_a_sample_in_the_documentation_is_what_the_command_prints(name, printed):
    command = name.split(".")[0].replace("precache", "config")

    assert (DOCS / name).read_text() == printed(), f"run: .venv/bin/precache {command} sample > docs/{name}"


def test_every_option_is_in_the_sample_with_its_meaning():
    text = sample_config()

    for group in GROUPS:
        for option in group.options:
            assert f"\n#{option.dest} =" in text
            assert option.help


@pytest.mark.parametrize("option", ["ssl_ca_file", "heartbeat_timeout_threshold", "rabbit_quorum_queue"])
def test_the_bus_librarys_options_are_in_the_sample(option):
    _, _, section = sample_config().partition("\n[oslo_messaging_rabbit]\n")

    assert f"\n#{option} =" in section.partition("\n[")[0]
