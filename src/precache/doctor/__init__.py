"""`precache doctor`: is this deployment in order, and what is to be done where it is not.

One file for each thing that is looked at. A check takes the configuration and gives findings; it looks and never
changes anything that lasts, and it names no secret. `roles.py` says which checks concern which process.

Nothing is imported here: `precache --help` reads the command's source, and for that imports this module.
"""
