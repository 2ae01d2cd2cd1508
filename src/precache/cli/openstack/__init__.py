"""Keystone in front of the service: who the caller is, and where the catalogue says that the service is.

Two programs come this way: `openstack precache ...`, whose client brings a session of its own (`plugin.py`), and
`precache ...` where its environment names a Keystone (`login.py`). Only this folder knows keystoneauth, and nothing in
it is imported by a command line that needs neither.
"""
