"""What a tool that reads other people's files may open, call and use: limits that the kernel keeps for us.

Nothing here knows the tool. The rules are made in the process that starts it and take effect in the child between its
fork and its exec.
"""

from precache.sandbox.sandbox import Needs, Sandbox

__all__ = ["Needs", "Sandbox"]
