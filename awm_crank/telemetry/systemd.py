"""systemd's notification protocol, sd_notify(3): one datagram for each message. Without systemd it does nothing."""

from __future__ import annotations

import os
import socket

from ..endpoint import redact


def notify(*assignments: str) -> bool:
    """Sends a message to the service manager.

    Args:
        assignments: `READY=1`, `STATUS=…`, `WATCHDOG=1`, …; a line break in one becomes a space.

    Returns:
        Whether there was a manager to tell.
    """
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path.startswith(("/", "@")):
        return False
    address = "\0" + path[1:] if path.startswith("@") else path
    message = "\n".join(redact(each.replace("\n", " ")) for each in assignments).encode()
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as sender:
            sender.sendto(message, address)
    except OSError:
        # A service manager that cannot be reached must not cost a frame.
        return False
    return True


def watchdog_s() -> float | None:
    """Seconds that may pass between two `WATCHDOG=1` of this process; None without a watchdog."""
    usec, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not usec.isdigit() or int(usec) == 0 or (pid and pid != str(os.getpid())):
        return None
    return int(usec) / 1e6
