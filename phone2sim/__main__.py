"""`python -m phone2sim`: the command line."""

import sys

from phone2sim.cli import main

if __name__ == "__main__":
    sys.exit(main())
