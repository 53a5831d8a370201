"""Start a worker by name in a Python that has its engine and not this package: `python -I start.py physx_worker`.

Isolated, so that nothing beside it or in the working folder takes the place of an installed package; this folder comes
last in the path.
"""

import importlib
import os
import sys

if __name__ == "__main__":
    sys.path.append(os.path.dirname(os.path.abspath(__file__)))
    wire = importlib.import_module("wire")
    sys.exit(wire.serve(sys.argv[1]))
