"""A small deterministic platform fighter: the world that the demo's model learns.

Final Destination's geometry, Melee's action-state ids, integers only (positions and speeds in 1/256 unit, as the
accounts hold them), so that a replay is the same bits on every machine. It is kept small on purpose: a model of a few
hundred thousand weights has to learn it. All matches of a batch advance together; arrays are (matches, 2 players).

What happens in one frame, in this order: each fighter chooses an action (`_act`), moves (`_move`), attacks are resolved
(`_hits`), fighters beyond the blast zones die or come back (`_deaths`), and the action's age follows the rule of the
encoding: + 1 while the action stays, else 0. Every duration is therefore a function of the action and its age, and no
hidden variable exists: the frame block is the whole state.

A fighter obeys the controllers that its frame block holds, those that led to the frame: what is pressed in one frame
moves it in the next. The model adds the coming controllers behind its last layer, where they can meet no other fact in
a product; "the stick points where the fighter looks" cannot be said there, and in the block it can.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int32]
Bools = NDArray[np.bool_]

UNIT = 256
GROUND_X = int(85.57 * UNIT)
BLAST_LEFT, BLAST_RIGHT, BLAST_TOP, BLAST_BOTTOM = -246 * UNIT, 246 * UNIT, 188 * UNIT, -140 * UNIT

DEAD, REBIRTH, WAIT, TURN, DASH, RUN = 0, 12, 14, 18, 20, 21
JUMP_SQUAT, JUMP, AERIAL_JUMP, FALL, LANDING = 24, 25, 27, 29, 42
JAB, UP_TILT, NEUTRAL_AIR, SHIELD = 44, 57, 65, 179
# Launched to the right or to the left. Each direction is an action of its own, which a model learns sooner than a sign.
DAMAGE_LIGHT, DAMAGE_MEDIUM, DAMAGE_FLY = (75, 76), (78, 79), (88, 89)
LIGHT_TO_MEDIUM = DAMAGE_MEDIUM[0] - DAMAGE_LIGHT[0]
ACTIONS = (
    DEAD, REBIRTH, WAIT, TURN, DASH, RUN, JUMP_SQUAT, JUMP, AERIAL_JUMP, FALL, LANDING,
    JAB, UP_TILT, NEUTRAL_AIR, SHIELD,
    *DAMAGE_LIGHT, *DAMAGE_MEDIUM, *DAMAGE_FLY,
)  # fmt: skip
GROUND_ACTIONS = (WAIT, TURN, DASH, RUN, JUMP_SQUAT, LANDING, JAB, UP_TILT, SHIELD)
AIR_ACTIONS = (REBIRTH, JUMP, AERIAL_JUMP, FALL, NEUTRAL_AIR, *DAMAGE_MEDIUM, *DAMAGE_FLY)

# Frames an action lasts (its age runs from 0 to duration − 1).
DURATION = {
    DEAD: 40, REBIRTH: 40, TURN: 6, DASH: 12, JUMP_SQUAT: 3, JUMP: 25, AERIAL_JUMP: 24, LANDING: 4,
    JAB: 16, UP_TILT: 24, NEUTRAL_AIR: 28,
    75: 14, 76: 14, 78: 24, 79: 24, 88: 40, 89: 40,
}  # fmt: skip

RUN_SPEED = 384
TRACTION = 40
AIR_ACCELERATION, AIR_SPEED, AIR_FRICTION = 20, 256, 4
GRAVITY, FALL_SPEED = 28, 512
JUMP_SPEED, AERIAL_JUMP_SPEED = 704, 672
LAUNCH_DECAY = 13
SHIELD_FULL, SHIELD_DRAIN, SHIELD_REGAIN, SHIELD_MINIMUM = 60 * UNIT, 72, 24, 10 * UNIT
STICK = 30
RESPAWN_Y = 40 * UNIT
BLOCK_DEPTH = 45 * UNIT  # the stage's body; below it is air
# A fighter's place is its feet. Its body keeps them away from the block: by HEAD below it, and at its sides by a wind
# that starts CLEAR from the wall and is stronger nearer to it. A fighter that comes down within LEDGE of the edge
# catches it and is put EDGE inside. Each line is so far from the block that a model which is a step off stays outside.
HEAD = 12 * UNIT
CLEAR = 24 * UNIT
WALL_PUSH = 11 * UNIT  # the most that the wind moves a fighter in one frame
LEDGE, EDGE = 8 * UNIT, 2 * UNIT
# The age of DEAD at which the stock is lost. It is a definite frame, unlike the frame in which a fighter crosses the
# line.
STOCK_AGE = 4
RETURN = 16  # a dead fighter comes 1/16 of the way home a frame: a leap in one frame is more than a delta can carry
MAX_PERCENT = 999


@dataclass(frozen=True)
class Attack:
    """Reach is a box in front of (and, where `behind` > 0, behind) the attacker; knockback grows with percent."""

    action: int
    active: int
    ahead: int
    behind: int
    below: int
    above: int
    damage: int
    base: int
    growth: int
    rise: int  # share of the knockback that goes up, of 256
    push: int


ATTACKS = (
    Attack(JAB, 3, 20 * UNIT, 0, 10 * UNIT, 14 * UNIT, 6, 300, 14, 96, 236),
    Attack(UP_TILT, 6, 18 * UNIT, 12 * UNIT, 6 * UNIT, 30 * UNIT, 12, 520, 22, 240, 96),
    Attack(NEUTRAL_AIR, 5, 20 * UNIT, 16 * UNIT, 18 * UNIT, 18 * UNIT, 14, 480, 22, 150, 208),
)

# Controller bits (docs/formats.md).
A, B, X, Y, Z = 1, 2, 4, 8, 16
L_EXT, R_EXT = 4, 8


@dataclass
class Fighters:
    """State of a batch of matches; every field is (matches, 2) int32."""

    x: Ints
    y: Ints
    percent: Ints
    percent_frac: Ints  # 1/256: only a model leaves any
    shield: Ints
    air_x: Ints
    speed_y: Ints
    ground_x: Ints
    attack_x: Ints
    attack_y: Ints
    age: Ints
    hitlag: Ints
    stocks: Ints
    facing: Ints
    on_ground: Ints
    action: Ints
    jumps: Ints
    character: Ints
    invulnerable: Ints

    def copy(self) -> Fighters:
        return Fighters(*(getattr(self, f.name).copy() for f in fields(self)))

    def take(self, rows: NDArray[np.int64]) -> Fighters:
        return Fighters(*(getattr(self, f.name)[rows].copy() for f in fields(self)))

    def put(self, rows: Bools, other: Fighters) -> None:
        for f in fields(self):
            getattr(self, f.name)[rows] = getattr(other, f.name)[rows]

    def place(self, rows: Bools, those: Fighters) -> None:
        """`those` are the chosen rows alone."""
        for f in fields(self):
            getattr(self, f.name)[rows] = getattr(those, f.name)


def start(matches: int) -> Fighters:
    """The start position of session-lifecycle's JOIN."""

    def fill(left: int, right: int) -> Ints:
        return np.tile(np.array([left, right], np.int32), (matches, 1))

    zero = fill(0, 0)
    return Fighters(
        x=fill(-30 * UNIT, 30 * UNIT), y=zero.copy(), percent=zero.copy(), percent_frac=zero.copy(),
        shield=fill(SHIELD_FULL, SHIELD_FULL), air_x=zero.copy(), speed_y=zero.copy(), ground_x=zero.copy(),
        attack_x=zero.copy(), attack_y=zero.copy(), age=zero.copy(), hitlag=zero.copy(), stocks=fill(4, 4),
        facing=fill(1, 0), on_ground=fill(1, 1), action=fill(WAIT, WAIT), jumps=fill(2, 2), character=zero.copy(),
        invulnerable=zero.copy(),
    )  # fmt: skip


def is_in(values: Ints, actions: tuple[int, ...]) -> Bools:
    return np.isin(values, actions)


_DURATIONS = np.full(400, 1 << 20, np.int32)
for _action, _frames in DURATION.items():
    _DURATIONS[_action] = _frames


def step(s: Fighters, controllers: NDArray[np.uint8]) -> Fighters:
    """The next frame. `controllers` is (matches, 2, 8): the ControllerInput bytes that led to this one."""
    before = s
    s = s.copy()
    frozen = s.hitlag > 0
    s.hitlag = np.maximum(s.hitlag - 1, 0)
    acted = s.copy()
    _act(acted, before, controllers)
    _move(acted, controllers)
    s.put(~frozen, acted)
    _hits(s, before)
    _deaths(s, before)
    s.age = np.where(s.action == before.action, np.minimum(before.age + 1, 65535), 0).astype(np.int32)
    return s


def _act(s: Fighters, before: Fighters, controllers: NDArray[np.uint8]) -> None:
    """Chooses the action from the one that runs, its age and the controller."""
    stick_x = controllers[..., 0].view(np.int8).astype(np.int32)
    stick_y = controllers[..., 1].view(np.int8).astype(np.int32)
    buttons = controllers[..., 6]
    side = np.where(stick_x >= STICK, 1, np.where(stick_x <= -STICK, -1, 0))
    jump = (buttons & (X | Y)) != 0
    attack = (buttons & A) != 0
    shield = ((controllers[..., 7] & (L_EXT | R_EXT)) != 0) | (controllers[..., 4] > 100) | (controllers[..., 5] > 100)
    face = np.where(s.facing == 1, 1, -1)
    grounded = s.on_ground == 1

    ended = before.age + 1 >= _DURATIONS[s.action]
    action = s.action.copy()
    # What an action becomes when its time is over.
    action = np.where(ended & is_in(s.action, (TURN, LANDING, JAB, UP_TILT, *DAMAGE_LIGHT)), WAIT, action)
    action = np.where(ended & (s.action == DASH), np.where(side == face, RUN, WAIT), action)
    aloft = (REBIRTH, JUMP, AERIAL_JUMP, NEUTRAL_AIR, *DAMAGE_MEDIUM, *DAMAGE_FLY)
    action = np.where(ended & is_in(s.action, aloft), FALL, action)
    action = np.where((s.action == RUN) & (side != face), WAIT, action)
    action = np.where((s.action == DASH) & (side == 0) & (before.age >= 4), WAIT, action)
    action = np.where((s.action == SHIELD) & (~shield | (s.shield <= 0)), WAIT, action)
    lift = ended & (s.action == JUMP_SQUAT)

    # What the controller asks for, in these actions only. A moment of WAIT separates two attacks.
    free = grounded & is_in(s.action, (WAIT, RUN, DASH)) & ~lift
    calm = free & (s.action == WAIT)
    turn = (free & (side == -face)) & (action != TURN)
    action = np.where(calm & (side == face), DASH, action)
    action = np.where(turn, TURN, action)
    s.facing = np.where(turn, 1 - s.facing, s.facing).astype(np.int32)
    action = np.where(calm & shield & (s.shield > SHIELD_MINIMUM), SHIELD, action)
    action = np.where(calm & attack, np.where(stick_y >= STICK, UP_TILT, JAB), action)
    action = np.where(free & jump, JUMP_SQUAT, action)

    airborne = ~grounded & is_in(s.action, (JUMP, AERIAL_JUMP, FALL))
    again = airborne & jump & (s.jumps > 0) & (s.action == FALL)
    action = np.where(airborne & attack & (s.action != AERIAL_JUMP), NEUTRAL_AIR, action)
    action = np.where(again, AERIAL_JUMP, action)
    s.speed_y = np.where(again, AERIAL_JUMP_SPEED, s.speed_y).astype(np.int32)
    s.jumps = np.where(again, 0, s.jumps)
    s.air_x = np.where(again, side * AIR_SPEED * 3 // 4, s.air_x).astype(np.int32)

    action = np.where(lift, JUMP, action)
    s.on_ground = np.where(lift, 0, s.on_ground)
    s.speed_y = np.where(lift, JUMP_SPEED, s.speed_y).astype(np.int32)
    s.jumps = np.where(lift, 1, s.jumps)
    s.air_x = np.where(lift, np.clip(s.ground_x, -AIR_SPEED, AIR_SPEED), s.air_x).astype(np.int32)
    s.ground_x = np.where(lift, 0, s.ground_x)
    s.action = action.astype(np.int32)


def _toward_zero(values: Ints, amount: int) -> Ints:
    return (np.sign(values) * np.maximum(np.abs(values) - amount, 0)).astype(np.int32)


def _move(s: Fighters, controllers: NDArray[np.uint8]) -> None:
    """Speeds, then positions, then floor, ledge and block."""
    stick_x = controllers[..., 0].view(np.int8).astype(np.int32)
    side = np.where(stick_x >= STICK, 1, np.where(stick_x <= -STICK, -1, 0))
    face = np.where(s.facing == 1, 1, -1)
    grounded = s.on_ground == 1
    held = is_in(s.action, (DEAD, REBIRTH))
    hurt = is_in(s.action, (*DAMAGE_LIGHT, *DAMAGE_MEDIUM, *DAMAGE_FLY))

    driven = is_in(s.action, (DASH, RUN))
    s.ground_x = np.where(driven, face * RUN_SPEED, _toward_zero(s.ground_x, TRACTION)).astype(np.int32)
    s.ground_x = np.where(grounded, s.ground_x, 0)
    drift = np.where(hurt | (side == 0), _toward_zero(s.air_x, AIR_FRICTION),
                     np.clip(s.air_x + side * AIR_ACCELERATION, -AIR_SPEED, AIR_SPEED))  # fmt: skip
    s.air_x = np.where(grounded | held, 0, drift).astype(np.int32)
    rising = s.action == JUMP
    just_left = (rising & (s.speed_y == JUMP_SPEED)) | ((s.action == AERIAL_JUMP) & (s.speed_y == AERIAL_JUMP_SPEED))
    fall = np.where(just_left, s.speed_y - 1, np.maximum(s.speed_y - GRAVITY, -FALL_SPEED))
    s.speed_y = np.where(grounded | held, 0, fall).astype(np.int32)
    s.attack_x = np.where(held, 0, _toward_zero(s.attack_x, LAUNCH_DECAY)).astype(np.int32)
    s.attack_y = np.where(held | grounded, 0, _toward_zero(s.attack_y, LAUNCH_DECAY)).astype(np.int32)

    old_x, old_y = s.x.copy(), s.y.copy()
    s.x = (s.x + s.ground_x + s.air_x + s.attack_x).astype(np.int32)
    s.y = (s.y + s.speed_y + s.attack_y).astype(np.int32)
    over_stage = np.abs(s.x) <= GROUND_X

    landed = ~grounded & ~held & (np.abs(s.x) <= GROUND_X + LEDGE) & (old_y >= 0) & (s.y <= 0)
    landed &= s.speed_y + s.attack_y < 0
    s.x = np.where(landed, np.clip(s.x, EDGE - GROUND_X, GROUND_X - EDGE), s.x)
    s.y = np.where(landed, 0, s.y)
    s.on_ground = np.where(landed, 1, s.on_ground)
    for name in ("speed_y", "attack_y", "air_x"):
        setattr(s, name, np.where(landed, 0, getattr(s, name)))
    s.jumps = np.where(landed, 2, s.jumps)
    s.action = np.where(landed, LANDING, s.action)

    off = grounded & ~over_stage
    s.y = np.where(off, -UNIT, s.y)  # below the ledge, because otherwise the fighter would grab the ledge again at once
    s.on_ground = np.where(off, 0, s.on_ground)
    s.jumps = np.where(off, 1, s.jumps)
    s.air_x = np.where(off, np.clip(s.ground_x, -AIR_SPEED, AIR_SPEED), s.air_x)
    s.ground_x = np.where(off, 0, s.ground_x)
    s.action = np.where(off & ~is_in(s.action, (*DAMAGE_LIGHT, *DAMAGE_MEDIUM, *DAMAGE_FLY)), FALL, s.action)
    s.action = np.where(off & is_in(s.action, DAMAGE_LIGHT), s.action + LIGHT_TO_MEDIUM, s.action)

    under = -BLOCK_DEPTH - HEAD
    bumped = (old_y <= under) & (s.y > under) & over_stage & ~held
    s.y = np.where(bumped, under, s.y).astype(np.int32)
    s.speed_y = np.where(bumped, 0, s.speed_y).astype(np.int32)
    s.attack_y = np.where(bumped, 0, s.attack_y).astype(np.int32)
    away = np.where(old_x >= 0, 1, -1)
    beside = (s.y < 0) & (s.y > under) & (s.x * away < GROUND_X + CLEAR) & ~held
    push = np.minimum((GROUND_X + CLEAR - s.x * away) >> 2, WALL_PUSH)
    s.x = np.where(beside, s.x + away * push, s.x).astype(np.int32)
    s.attack_x = np.where(beside & (s.attack_x * away < 0), 0, s.attack_x)

    shielding = s.action == SHIELD
    s.shield = np.clip(s.shield + np.where(shielding, -SHIELD_DRAIN, SHIELD_REGAIN), 0, SHIELD_FULL).astype(np.int32)
    for name in ("action", "on_ground", "jumps", "air_x", "ground_x", "attack_x"):
        setattr(s, name, getattr(s, name).astype(np.int32))


def _hits(s: Fighters, before: Fighters) -> None:
    """Resolves attacks on their active frame, against the other fighter's last position. A hit freezes both for the
    hitlag.
    """
    victim_hit = np.zeros(s.x.shape, bool)
    launch = {name: np.zeros(s.x.shape, np.int32) for name in ("x", "y", "damage", "knockback", "hitlag")}
    face = np.where(s.facing == 1, 1, -1)
    distance = (before.x[:, ::-1] - before.x) * face
    height = before.y[:, ::-1] - before.y
    for attack in ATTACKS:
        # Age is that of the frame being made: before + 1 while the action stays and no hitlag holds it.
        active = (s.action == attack.action) & (before.action == attack.action) & (before.age + 1 == attack.active)
        reach = (distance <= attack.ahead) & (distance >= -attack.behind)
        reach &= (height <= attack.above) & (height >= -attack.below)
        hit = (active & reach)[:, ::-1]
        hit &= (s.invulnerable == 0) & ~is_in(s.action, (DEAD, REBIRTH))
        shielded = hit & (s.action == SHIELD)
        s.shield = np.where(shielded, np.maximum(s.shield - attack.damage * 200, 0), s.shield).astype(np.int32)
        hit &= ~shielded
        push = face[:, ::-1]
        percent = s.percent + attack.damage
        knockback = np.minimum(attack.base + attack.growth * percent, 2600)
        victim_hit |= hit
        launch["damage"] = np.where(hit, attack.damage, launch["damage"])
        launch["knockback"] = np.where(hit, knockback, launch["knockback"])
        launch["x"] = np.where(hit, push * ((knockback * attack.push) >> 8), launch["x"])
        launch["y"] = np.where(hit, (knockback * attack.rise) >> 8, launch["y"])
        launch["hitlag"] = np.where(hit | shielded, 3 + attack.damage // 3, launch["hitlag"])
    medium = launch["knockback"] >= 420
    fly = launch["knockback"] >= 900
    airborne = (s.on_ground == 0) | medium
    action = np.where(fly, DAMAGE_FLY[0], np.where(airborne, DAMAGE_MEDIUM[0], DAMAGE_LIGHT[0]))
    action = action + (launch["x"] < 0)
    s.action = np.where(victim_hit, action, s.action).astype(np.int32)
    s.percent = np.where(victim_hit, np.minimum(s.percent + launch["damage"], MAX_PERCENT), s.percent).astype(np.int32)
    s.attack_x = np.where(victim_hit, launch["x"], s.attack_x).astype(np.int32)
    s.attack_y = np.where(victim_hit, np.where(airborne, launch["y"], 0), s.attack_y).astype(np.int32)
    for name in ("air_x", "speed_y", "ground_x"):
        setattr(s, name, np.where(victim_hit, 0, getattr(s, name)).astype(np.int32))
    s.on_ground = np.where(victim_hit & airborne, 0, s.on_ground).astype(np.int32)
    struck = launch["hitlag"]
    s.hitlag = np.maximum(s.hitlag, np.maximum(struck, struck[:, ::-1])).astype(np.int32)


def _deaths(s: Fighters, before: Fighters) -> None:
    """A fighter beyond a blast zone dies, and soon loses the stock. It glides back, hangs over the stage, and then
    falls.
    """
    alive = s.action != DEAD
    beyond = (s.x < BLAST_LEFT) | (s.x > BLAST_RIGHT) | (s.y > BLAST_TOP) | (s.y < BLAST_BOTTOM)
    dies = alive & beyond
    lost = (before.action == DEAD) & (before.age == STOCK_AGE)
    s.stocks = np.where(lost, np.maximum(s.stocks - 1, 0), s.stocks).astype(np.int32)
    s.action = np.where(dies, DEAD, s.action).astype(np.int32)
    s.x = np.clip(s.x, BLAST_LEFT, BLAST_RIGHT).astype(np.int32)
    s.y = np.clip(s.y, BLAST_BOTTOM, BLAST_TOP).astype(np.int32)
    back = (before.action == DEAD) & (before.age + 1 >= DURATION[DEAD]) & (s.stocks > 0)
    s.action = np.where(back, REBIRTH, s.action).astype(np.int32)
    gone = is_in(s.action, (DEAD, REBIRTH))
    home = np.array([-20 * UNIT, 20 * UNIT], np.int32)
    s.x = np.where(gone, s.x + (home - s.x) // RETURN, s.x).astype(np.int32)
    s.y = np.where(gone, s.y + (RESPAWN_Y - s.y) // RETURN, s.y).astype(np.int32)
    s.percent = np.where(gone, s.percent - (s.percent + 3) // 4, s.percent).astype(np.int32)
    s.facing = np.where(back, np.array([1, 0], np.int32), s.facing).astype(np.int32)
    s.jumps = np.where(back, 1, np.where(dies, 0, s.jumps)).astype(np.int32)
    s.on_ground = np.where(gone, 0, s.on_ground).astype(np.int32)
    for name in ("air_x", "speed_y", "ground_x", "attack_x", "attack_y", "hitlag", "percent_frac"):
        setattr(s, name, np.where(gone, 0, getattr(s, name)).astype(np.int32))
    s.invulnerable = gone.astype(np.int32)
