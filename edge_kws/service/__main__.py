"""`python -m edge_kws.service FILE`, which the systemd unit runs: `edge-kws service run` without the weight of a command line."""

import sys
from pathlib import Path

from edge_kws.errors import EdgeKwsError
from edge_kws.service.run import run


def main() -> int:
    """Runs the daemon; returns its exit status: 0, or 2 for a wrong call or config."""
    if len(sys.argv) != 2:
        sys.stderr.write("edge-kws: error: usage: python -m edge_kws.service CONFIG\n")
        return 2
    try:
        run(Path(sys.argv[1]))
    except EdgeKwsError as error:
        sys.stderr.write(f"edge-kws: error: {' '.join(str(error).split())}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
