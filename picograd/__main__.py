"""`python -m picograd` is the `picograd` command."""

import sys

from picograd.cli.main import entry

if __name__ == "__main__":
    sys.exit(entry())
