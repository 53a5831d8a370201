"""`python -m phone2sim` is the command line."""

from phone2sim.cli import main

main()
