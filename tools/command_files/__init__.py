"""Makes what the wheel installs beside the program: its man page, and completion for bash, zsh and fish.

All are written from the parsers of the commands, so that they say what the program does. This package runs while the
wheel is built; nothing of it is installed. `commands` reads the parsers, and each other module writes one format.
"""
