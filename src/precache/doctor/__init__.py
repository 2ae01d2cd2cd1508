"""`precache doctor`: is this deployment in order, and what is to be done where it is not.

One file for each thing that is looked at. A check takes the configuration and gives findings; it looks and never
changes anything that lasts, and it names no secret. `roles.py` says which checks concern which process.
"""

from precache.doctor.examine import Check, examine
from precache.doctor.findings import Finding, Status
from precache.doctor.roles import ROLES, checks_for, likely_roles

__all__ = ["ROLES", "Check", "Finding", "Status", "checks_for", "examine", "likely_roles"]
