"""`python -m awm_crank.localnet`: the localnet without the rest of the command line."""

from __future__ import annotations

import argparse
import sys

from ..errors import AwmError
from .command import configure, execute

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m awm_crank.localnet")
    configure(parser)
    try:
        sys.exit(execute(parser.parse_args()))
    except AwmError as error:
        sys.stderr.write(f"Error: {error}\n")
        sys.exit(error.exit_code)
