"""`python -m callreel`."""

import sys

from callreel.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
