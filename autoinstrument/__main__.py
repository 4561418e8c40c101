"""`python -m autoinstrument` is the `asyncscope` command."""

import sys

from autoinstrument.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
