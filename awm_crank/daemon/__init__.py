"""The daemon: it serves sessions, frame after frame. Open `crank.py` first; it is the main loop.

| module            | what it does                                                                |
| ----------------- | --------------------------------------------------------------------------- |
| `crank.py`        | the main loop: decode, machine, step, send, confirm; start and stop         |
| `discovery.py`    | finds the sessions that this key may write                                  |
| `delegated.py`    | finds those that were delegated to the rollup                               |
| `roster.py`       | admits sessions and lets them go                                            |
| `admission.py`    | decides whether there is room for one more session                          |
| `rent.py`         | limits what sessions' accounts may cost                                     |
| `collector.py`    | ends dead sessions, and takes back what the crank paid for settled ones     |
| `session.py`      | one served session: its machine, its accounts' keys                         |
| `watcher.py`      | subscribes to the accounts of a served session                              |
| `compute.py`      | runs engine steps; those that are due together share one call               |
| `outbox.py`       | signs and sends transactions; those of one loop turn share one request      |
| `reader.py`       | reads accounts; those that are wanted together share one request            |
| `models.py`       | loads and verifies models, and builds their engines                         |
| `journal.py`      | keeps the last checkpoint of each session on disk                           |
| `worlds.py`       | checks the World program and finds the world                                |
| `page.py`         | runs the live page and the frame feed, in a process of their own            |
| `phases.py`       | spreads the sessions' ticks over the period                                 |
| `timers.py`       | wakes sessions; `alarm.py` is the one timer underneath                      |
| `tasks.py`        | runs tasks, and ends the service when one of them fails                     |
| `fault_points.py` | crash tests' fault points                                                   |
"""

from .crank import Daemon

__all__ = ["Daemon"]
