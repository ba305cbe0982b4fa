"""The daemon: sessions served, frame after frame. `path.py` is the way of a frame; the rest is its parts.

| module         | what it owns                                                            |
| -------------- | ----------------------------------------------------------------------- |
| `path.py`      | the wiring: subscribe, decode, machine, step, send, confirm; start, stop |
| `served.py`    | one session's machine with its accounts                                 |
| `admission.py` | who is served: how many, within which measured load, for how much rent  |
| `compute.py`   | engine steps, those that fall due together in one call                  |
| `outbox.py`    | transactions signed and sent, those of one loop turn in one request     |
| `reader.py`    | accounts read, those wanted together in one request                     |
| `models.py`    | models loaded, verified, and the engine that runs them                  |
| `worlds.py`    | the world, where the configuration names none                           |
| `view.py`      | page and frame feed for spectators, a process of its own                |
| `phases.py`    | when each session ticks, so that none waits for another                 |
| `timers.py`    | the one timer                                                           |
| `passages.py`  | crash tests' fault points                                               |
"""

from .path import Daemon

__all__ = ["Daemon"]
