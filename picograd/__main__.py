"""`python -m picograd` is the `picograd` command."""

import sys

from picograd.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
