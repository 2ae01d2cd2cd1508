"""Keystone: the caller's login, and the service's address in the catalogue.

Two programs use it: `openstack precache ...`, whose client has its own session (`plugin.py`), and `precache ...` if its
environment names a Keystone (`login.py`). Only this folder uses keystoneauth. It is not imported by commands that need
neither.
"""
