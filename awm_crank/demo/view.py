"""The live terminal view: a process of its own, so that drawing never delays the observer's clock.

It reads one `Picture` per line (JSON) from standard input, draws the newest, and ends with the input.
"""

from __future__ import annotations

import os
import sys
import threading

import msgspec
from rich.align import Align
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from awm_crank.match.actions import action_name

DRAWS_PER_SECOND = 15
COLOURS = ("bright_red", "bright_cyan")
_STAGE_ROWS = 14
_MAX_COLUMNS = 100


class DrawnFighter(msgspec.Struct, frozen=True):
    """One player: x and y in game units, percent as damage."""

    x: float
    y: float
    percent: int
    stocks: int
    facing: int
    action: int


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """One moment of the demo. Times are in milliseconds; counts cover all matches."""

    match: int
    seed: int
    session: str
    frame: int
    done: int
    wanted: int
    fighters: tuple[DrawnFighter, DrawnFighter]
    ground: float
    """half the stage's width"""
    platforms: tuple[tuple[float, float, float], ...] = ()
    """x from, x to, y of each"""
    blast: tuple[float, float, float, float] = (-246, 246, 188, -140)
    """left, right, top, bottom"""
    fps: float = 0.0
    last_ms: float = 0.0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    on_time: int = 0
    late: int = 0
    missed: int = 0


def draw_stage(picture: Picture, columns: int, rows: int = _STAGE_ROWS) -> Text:
    """The stage as `rows` lines of `columns` characters: ground, platforms and both fighters.

    The picture is 1.3 stages wide. It grows up to the blast zones while a fighter is out there. A fighter beyond the
    picture is drawn at its edge.
    """
    reach = max([picture.ground * 1.3, *(abs(fighter.x) * 1.05 for fighter in picture.fighters)])
    reach = min(reach, max(-picture.blast[0], picture.blast[1]))
    top = min(max([90.0, *(fighter.y * 1.1 + 15 for fighter in picture.fighters)]), picture.blast[2])
    bottom = max(min([-25.0, *(fighter.y * 1.1 for fighter in picture.fighters)]), picture.blast[3])

    def column(x: float) -> int:
        return min(columns - 1, max(0, round((x + reach) / (2 * reach) * (columns - 1))))

    def row(y: float) -> int:
        return min(rows - 1, max(0, round((top - y) / (top - bottom) * (rows - 1))))

    cells: list[list[tuple[str, str]]] = [[(" ", "")] * columns for _ in range(rows)]
    for left, right, height in picture.platforms:
        for at in range(column(left), column(right) + 1):
            cells[row(height)][at] = ("─", "bright_black")
    for at in range(column(-picture.ground), column(picture.ground) + 1):
        cells[row(0)][at] = ("━", "white")
    for number, fighter in enumerate(picture.fighters):
        line, at = max(0, row(fighter.y) - 1), column(fighter.x)
        style = f"bold {COLOURS[number]}"
        cells[line][at] = (str(number + 1), style)
        nose = at + (1 if fighter.facing else -1)
        if 0 <= nose < columns and cells[line][nose][0] == " ":
            cells[line][nose] = ("▸" if fighter.facing else "◂", style)
    text = Text(no_wrap=True)
    for number, line_cells in enumerate(cells):
        if number:
            text.append("\n")
        for character, style in line_cells:
            text.append(character, style or None)
    return text


def _fighters(picture: Picture) -> Table:
    table = Table.grid(expand=True, padding=(0, 1))
    table.add_column(justify="left", ratio=1)
    table.add_column(justify="right", ratio=1)
    cards = []
    for number, fighter in enumerate(picture.fighters):
        card = Text(no_wrap=True)
        card.append(f"Player {number + 1}  ", f"bold {COLOURS[number]}")
        card.append("●" * fighter.stocks + "○" * (4 - fighter.stocks), COLOURS[number])
        card.append(f"  {fighter.percent} %", "bold")
        card.append(f"  {action_name(fighter.action)}")
        cards.append(card)
    table.add_row(*cards)
    return table


def _timing(picture: Picture) -> Table:
    table = Table.grid(expand=True, padding=(0, 2))
    for _ in range(3):
        table.add_column(no_wrap=True)
    table.add_row(
        f"frame [bold]{picture.done}[/] of {picture.wanted}",
        f"[bold]{picture.fps:.1f}[/] frames/s",
        f"latency [bold]{picture.last_ms:.1f}[/] ms  p50 {picture.p50_ms:.1f}  p99 {picture.p99_ms:.1f}",
    )
    late, missed = ("yellow" if picture.late else "green"), ("bold red" if picture.missed else "green")
    table.add_row(
        f"on time [green]{picture.on_time}[/]",
        f"late [{late}]{picture.late}[/]",
        f"missed ticks [{missed}]{picture.missed}[/]  seed {picture.seed}",
    )
    return table


def render(picture: Picture, columns: int) -> Panel:
    """The whole view for a terminal `columns` wide."""
    width = max(40, min(columns, _MAX_COLUMNS))
    body = Group(
        Align.center(draw_stage(picture, width - 6)),
        _fighters(picture),
        Text("─" * (width - 6), "bright_black", no_wrap=True),
        _timing(picture),
    )
    title = f"match {picture.match} · session {picture.session[:8]}… · frame {picture.frame}"
    return Panel(body, title=title, subtitle="every frame read back from Solana accounts", width=width, padding=(0, 2))


def main() -> None:
    """Draws pictures from standard input until the input ends, or the terminal goes away."""
    console = Console()
    newest: list[bytes | None] = [None]
    ended = threading.Event()

    def read() -> None:
        for line in sys.stdin.buffer:
            newest[0] = line
        ended.set()

    threading.Thread(target=read, daemon=True).start()
    drawn: bytes | None = None
    with Live(console=console, auto_refresh=False, transient=False) as live:
        while True:
            over = ended.wait(1 / DRAWS_PER_SECOND)
            line = newest[0]
            if line is not None and line is not drawn:
                drawn = line
                live.update(render(msgspec.json.decode(line, type=Picture), console.width), refresh=True)
            if over:
                return


if __name__ == "__main__":
    # drawing is the least urgent work on the machine
    os.nice(5)
    main()
