"""The program: `python -m meshctl.agent`."""

import sys

from meshctl.agent.commands import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
