"""`precache doctor`: checks a deployment, and advises what to do about failures.

One file for each subject. A check takes the configuration and returns findings. It changes nothing permanently, and its
findings contain no secrets. `roles.py` says which checks are for which process.

Nothing is imported here: `precache --help` reads the command's source, and for that imports this module.
"""
