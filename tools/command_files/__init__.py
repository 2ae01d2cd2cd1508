"""Makes the files that the wheel installs beside the program: man page, and completion for bash, zsh and fish.

All are generated from the parsers of the commands, so that they match the program. This package runs while the wheel is
built and is not installed. `commands` reads the parsers; each other module writes one format.
"""
