"""A small cloud for tests: Keystone, Glance, and the people who use them."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.lab.glance import Glance
from tests.lab.keystone import Keystone, User


@dataclass(frozen=True)
class Cloud:
    """One Keystone with a Glance in its catalog.

    admin: of the project `admin`. member and reader: of the project `demo`, with these roles. stranger: a member of the
    project `acme`. precache: the service's own account in the project `service`, an administrator; that is the role
    that a stock Glance requires to read private images of all projects.
    """

    keystone: Keystone
    glance: Glance
    admin: User
    member: User
    reader: User
    stranger: User
    precache: User


@pytest.fixture(scope="session")
def cloud(keystone: Keystone, glance: Glance) -> Cloud:
    """The cloud and its people; it runs unless a test stops a part, which has to start it again."""
    return Cloud(
        keystone=keystone,
        glance=glance,
        admin=keystone.admin,
        member=keystone.add_user("member", project="demo", roles=("member",)),
        reader=keystone.add_user("reader", project="demo", roles=("reader",)),
        stranger=keystone.add_user("stranger", project="acme", roles=("member",)),
        precache=keystone.add_user("precache", roles=("admin", "service")),
    )
