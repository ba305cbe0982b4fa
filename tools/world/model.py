"""`FrameStackMamba2` in PyTorch for training: the checkpoint format's parameters, a whole chunk of frames at once.

One call advances a batch of matches by T frames. Inside the chunk the recurrence is written as a masked matrix product
(the "state space dual" form of Mamba2, arXiv:2405.21060 §6), which is exact and fast for T around 64; the state and the
convolution's tail enter and leave, so that training goes statefully over sequences of any length.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from simulator import ACTIONS
from torch import Tensor, nn
from torch.nn import functional as F

FLOATS = 28
CONTROLS = 13
CATEGORIES = {"action": 400, "jumps": 8, "l_cancel": 3, "hurtbox": 3, "ground": 32, "last_attack": 64}
# The classes of each head that this world uses. Training has rows for these only; `exported` adds the others with the
# bias NEVER.
USED = {"action": ACTIONS, "jumps": (0, 1, 2), "l_cancel": (0,), "hurtbox": (0,), "ground": (0,), "last_attack": (0,)}
NEVER = -30.0
CHARACTER, STAGE = 0, 32
EMBEDDINGS = {
    "action": (400, 32), "jumps": (8, 4), "character": (33, 8), "stage": (33, 4), "l_cancel": (3, 2),
    "hurtbox": (3, 2), "ground": (32, 4), "last_attack": (64, 8), "state_age": (150, 8),
}  # fmt: skip
PLAYER_EMBEDDINGS = ("action", "jumps", "character", "l_cancel", "hurtbox", "ground", "last_attack", "state_age")
# encoding_config's scales: each float of the frame vector comes out around one.
PERCENT_SCALE, XY_SCALE, SHIELD_SCALE, VELOCITY_SCALE, HITLAG_SCALE, STOCKS_SCALE = 0.02, 0.03, 0.03, 0.4, 0.2, 0.5
# Typical size of each regression target, a player, in frame-vector units. The heads are trained in them: Adam moves
# every weight by about its rate, which is far too coarse for a delta of a thousandth.
SPREAD = {
    "continuous": (5 * PERCENT_SCALE, 1.6 * XY_SCALE, 1.6 * XY_SCALE, 0.5 * SHIELD_SCALE),
    "velocity": tuple(speed * VELOCITY_SCALE for speed in (0.4, 1.0, 0.6, 2.0, 2.0)),
    "dynamics": (3 * HITLAG_SCALE, 2 * STOCKS_SCALE, 0.1),
}


@dataclass(frozen=True)
class TrainingShape:
    d_model: int = 160
    d_inner: int = 320
    d_state: int = 16
    headdim: int = 64
    d_conv: int = 4
    layers: int = 3

    @property
    def heads(self) -> int:
        return self.d_inner // self.headdim


class RMSNorm(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * self.weight


class Mamba(nn.Module):
    def __init__(self, shape: TrainingShape) -> None:
        super().__init__()
        self.shape = shape
        channels = shape.d_inner + 2 * shape.d_state
        self.in_proj = nn.Linear(shape.d_model, shape.d_inner + channels + shape.heads, bias=False)
        self.conv1d = nn.Conv1d(channels, channels, shape.d_conv, groups=channels)
        dt = torch.exp(torch.linspace(-4.6, -0.7, shape.heads))
        self.dt_bias = nn.Parameter(dt + torch.log(-torch.expm1(-dt)))
        self.A_log = nn.Parameter(torch.log(torch.linspace(1, 8, shape.heads)))
        self.D = nn.Parameter(torch.ones(shape.heads))
        self.norm = RMSNorm(shape.d_inner)
        self.out_proj = nn.Linear(shape.d_inner, shape.d_model, bias=False)

    def forward(self, u: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """u (batch, T, d_model); state (h (batch, heads, headdim, d_state), tail (batch, d_conv − 1, channels))."""
        s = self.shape
        h, tail = state
        channels = s.d_inner + 2 * s.d_state
        z, xbc, dt = self.in_proj(u).split([s.d_inner, channels, s.heads], -1)
        padded = torch.cat([tail, xbc], 1)
        # Four shifted products: torch's grouped convolution takes three times as long backwards.
        taps, steps_in = self.conv1d.weight[:, 0], u.shape[1]
        bias = self.conv1d.bias
        assert bias is not None
        xbc = F.silu(sum((padded[:, i : i + steps_in] * taps[:, i] for i in range(s.d_conv)), bias))
        x, b, c = xbc.split([s.d_inner, s.d_state, s.d_state], -1)
        x = x.unflatten(-1, (s.heads, s.headdim))
        dt = F.softplus(dt + self.dt_bias)
        log_decay = torch.cumsum(-torch.exp(self.A_log) * dt, 1)  # (batch, T, heads)
        spread = log_decay[:, :, None] - log_decay[:, None]  # decay from frame j to frame i, in logs
        steps = torch.ones(u.shape[1], u.shape[1], dtype=torch.bool, device=u.device).tril()
        mask = torch.exp(spread.masked_fill(~steps[None, :, :, None], -torch.inf))
        scores = torch.einsum("bin,bjn->bij", c, b)[..., None] * mask
        y = torch.einsum("bijh,bjh,bjhp->bihp", scores, dt, x)
        y = y + torch.einsum("bin,bhpn,bih->bihp", c, h, torch.exp(log_decay))
        left = torch.exp(log_decay[:, -1:] - log_decay) * dt
        h = h * torch.exp(log_decay[:, -1])[..., None, None] + torch.einsum("bjh,bjhp,bjn->bhpn", left, x, b)
        y = (y + self.D[:, None] * x).flatten(2)
        return self.out_proj(self.norm(y * F.silu(z))), (h, padded[:, 1 - s.d_conv :])


class Layer(nn.Module):
    def __init__(self, shape: TrainingShape) -> None:
        super().__init__()
        self.norm = RMSNorm(shape.d_model)
        self.mamba = Mamba(shape)


class FrameStackMamba2(nn.Module):
    def __init__(self, shape: TrainingShape) -> None:
        super().__init__()
        self.shape = shape
        for name, (count, width) in EMBEDDINGS.items():
            setattr(self, f"{name}_embed", nn.Embedding(count, width))
            nn.init.normal_(getattr(self, f"{name}_embed").weight, std=0.3)
        width = sum(EMBEDDINGS[name][1] for name in PLAYER_EMBEDDINGS)
        self.frame_proj = nn.Linear(2 * FLOATS + 2 * width + EMBEDDINGS["stage"][1], shape.d_model)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.final_norm = RMSNorm(shape.d_model)
        self.ctrl_proj = nn.Linear(2 * CONTROLS, shape.d_model)
        for name, rows in (("continuous", 8), ("velocity", 10), ("dynamics", 6), ("binary", 6)):
            setattr(self, f"{name}_head", nn.Linear(shape.d_model, rows))
        for player in ("p0", "p1"):
            for name, known in USED.items():
                if len(known) > 1:
                    setattr(self, f"{player}_{name}_head", nn.Linear(shape.d_model, len(known)))

    def start(self, batch: int) -> list[tuple[Tensor, Tensor]]:
        s = self.shape
        return [
            (
                torch.zeros(batch, s.heads, s.headdim, s.d_state),
                torch.zeros(batch, s.d_conv - 1, s.d_inner + 2 * s.d_state),
            )
            for _ in range(s.layers)
        ]

    def forward(
        self,
        floats: Tensor,
        categories: dict[str, Tensor],
        stage: Tensor,
        controls: Tensor,
        state: list[tuple[Tensor, Tensor]],
    ) -> tuple[dict[str, Tensor], list[tuple[Tensor, Tensor]]]:
        """Predictions for T frames.

        floats (batch, T, 2, 28), the frame vector's floats with the frame's own controllers; categories:
        name → (batch, T, 2) integers; stage (batch, T); controls (batch, T, 26), the controllers of the *next* frames.
        Returns head name → (batch, T, rows), the categorical ones with `USED`'s rows, and the new state.
        """
        embedded = [
            torch.cat(
                [getattr(self, f"{name}_embed")(categories[name][:, :, player]) for name in PLAYER_EMBEDDINGS], -1
            )
            for player in (0, 1)
        ]
        vector = torch.cat([floats.flatten(2), *embedded, self.get_submodule("stage_embed")(stage)], -1)
        residual = self.frame_proj(vector)
        after = []
        for layer, before in zip(self.layers, state, strict=True):
            out, new = layer.get_submodule("mamba")(layer.get_submodule("norm")(residual), before)
            residual = residual + out
            after.append(new)
        final = self.final_norm(residual) + self.ctrl_proj(controls)
        heads = [name for name, _ in self.named_children() if name.endswith("_head")]
        out = {name.removesuffix("_head"): getattr(self, name)(final) for name in heads}
        return {name: v * torch.tensor(SPREAD[name] * 2) if name in SPREAD else v for name, v in out.items()}, after

    def exported(self, weights: dict[str, Tensor] | None = None) -> dict[str, Tensor]:
        """The state dict (or `weights`) as the checkpoint has it: SPREAD folded into the regression heads, all rows.

        Every character and every stage is the one that was trained.
        """
        full = {name: value.detach().clone() for name, value in (weights or self.state_dict()).items()}
        for name, spread in SPREAD.items():
            scale = torch.tensor(spread * 2)
            full[f"{name}_head.weight"] *= scale[:, None]
            full[f"{name}_head.bias"] *= scale
        for name, trained in (("character", CHARACTER), ("stage", STAGE)):
            table = full[f"{name}_embed.weight"]
            full[f"{name}_embed.weight"] = table[trained].repeat(len(table), 1)
        for player in ("p0", "p1"):
            for name, known in USED.items():
                head, rows = f"{player}_{name}_head", CATEGORIES[name]
                weight, bias = torch.zeros(rows, self.shape.d_model), torch.full((rows,), NEVER)
                bias[list(known)] = full[f"{head}.bias"] if len(known) > 1 else 0.0
                if len(known) > 1:
                    weight[list(known)] = full[f"{head}.weight"]
                full[f"{head}.weight"], full[f"{head}.bias"] = weight, bias
        return full

    def load_exported(self, weights: dict[str, Tensor]) -> None:
        """The inverse of `exported`."""
        full = {name: value.clone() for name, value in weights.items()}
        for name, spread in SPREAD.items():
            scale = torch.tensor(spread * 2)
            full[f"{name}_head.weight"] /= scale[:, None]
            full[f"{name}_head.bias"] /= scale
        for player in ("p0", "p1"):
            for name, known in USED.items():
                for part in ("weight", "bias"):
                    rows = full.pop(f"{player}_{name}_head.{part}")[list(known)]
                    if len(known) > 1:
                        full[f"{player}_{name}_head.{part}"] = rows
        self.load_state_dict(full)
