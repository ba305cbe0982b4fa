"""`awm-crank`, which `python -m awm_crank` is too."""

from __future__ import annotations

import os
import signal


def main() -> int:
    """Runs the command line of this process.

    The modules of a command take a moment to import. Ctrl-C in that moment, and while Python ends after a command, ends
    the process with status 130 and no traceback (cli/interrupt.py covers the time between).
    """
    signal.signal(signal.SIGINT, lambda _number, _frame: os._exit(128 + signal.SIGINT))
    from .cli import main as command

    return command()


if __name__ == "__main__":
    raise SystemExit(main())
