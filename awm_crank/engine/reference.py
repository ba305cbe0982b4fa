"""The plain engine: docs/numerics.md in NumPy, integers only. The oracle of every other engine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from awm_crank.engine import frame
from awm_crank.engine.arith import I32, I64, Tables, requantize, rounded
from awm_crank.engine.cartridge import Cartridge
from awm_crank.engine.layout import EMBEDDINGS, LOW_BITS
from awm_crank.errors import StateError

WARMUP_FRAMES = 9


@dataclass
class ReferenceState:
    """One session: `h` (layers, heads, headdim, d_state), `tail` (layers, 3, channels), int16 values; `step` is u32."""

    h: I32
    tail: I32
    step: int


@dataclass(frozen=True)
class ReferenceContext:
    """The final norm's output, d_model values in Q(f_final)."""

    values: I32


class _Matrix:
    """A matrix of int8 rows, stored as int32 columns (einsum runs along them), with the rows' multipliers."""

    def __init__(
        self, w: NDArray[np.integer], m: NDArray[np.integer], bias: NDArray[np.integer] | None, shift: int
    ) -> None:
        self.columns = np.ascontiguousarray(w.T.astype(np.int32))
        self.m = m.astype(np.int64)
        self.bias = None if bias is None else bias.astype(np.int32)
        self.shift = shift

    def __call__(self, a: I32) -> I64:
        acc: I32 = np.einsum("kr,k->r", self.columns, a)
        if self.bias is not None:
            acc += self.bias
        return requantize(acc, self.m, self.shift)

    def low(self, a: I32) -> I64:
        """The contribution of the low bits of the first columns (numerics.md 6.1)."""
        acc: I32 = np.einsum("kr,k->r", self.columns[: a.size], a)
        return requantize(acc, self.m, self.shift + LOW_BITS)


class _Layer:
    """The weights of one layer, widened once."""

    def __init__(self, cartridge: Cartridge, n: int) -> None:
        shape = cartridge.shape
        f = self.f = cartridge.formats.layers[n]

        def array(name: str) -> NDArray[np.integer]:
            return cartridge.arrays[f"layers.{n}.{name}"]

        self.norm = array("norm").astype(np.int64)
        self.in_proj = _Matrix(array("in_proj.w"), array("in_proj.m"), None, f.s_in)
        self.taps = np.ascontiguousarray(array("conv_w").T.astype(np.int32))
        self.conv_b = array("conv_b").astype(np.int32)
        self.dt_bias = array("dt_bias").astype(np.int64)
        self.alpha = array("alpha").astype(np.uint64)
        # the largest alpha stands for every larger rate (numerics.md 6.4)
        self.alpha_shift = np.where(self.alpha == 2**31 - 1, 0, 20).astype(np.uint64)
        self.d = array("d").astype(np.int32)[:, None]
        hs = array("hs").astype(np.int32)
        self.input_shift = 11 + 2 * f.f_c - hs
        self.read_shift = (hs + f.f_c - shape.read_shift - f.f_y)[:, None]
        self.row_gain = array("row_gain").astype(np.int32) if shape.row_gains else np.int32(0)
        self.gate_norm = array("gate_norm").astype(np.int64)
        self.out_proj = _Matrix(array("out_proj.w"), array("out_proj.m"), None, f.s_out)


class ReferenceEngine:
    """`Engine` (api.py) for one cartridge."""

    def __init__(self, cartridge: Cartridge) -> None:
        shape, f, arrays = cartridge.shape, cartridge.formats, cartridge.arrays
        self.cartridge = cartridge
        self.state_size = shape.state_size
        self.extra_size = cartridge.extra_size
        self._shape, self._f = shape, f
        self._tables = Tables(cartridge.luts)
        self._layers = [_Layer(cartridge, n) for n in range(shape.num_layers)]
        self._final_norm = arrays["final_norm"].astype(np.int64)
        self._frame_proj, self._ctrl_proj, self._heads = (
            _Matrix(arrays[f"{name}.w"], arrays[f"{name}.m"], arrays[f"{name}.b"], shift)
            for name, shift in (("frame_proj", f.s_frame_proj), ("ctrl_proj", f.s_ctrl_proj), ("heads", f.s_heads))
        )
        self._feature_mul = np.tile(arrays["feature_mul"].astype(np.int64), 2)
        self._encoding = shape.encoding
        self._ctrl_mul = arrays["ctrl_mul"].astype(np.int64)[shape.encoding.control_columns]
        self._numbers = shape.encoding.number_rows
        self._embeddings = {name: arrays[name].astype(np.int32) for name in EMBEDDINGS}
        self._categorical = [(begin, end) for _, begin, end in frame.categorical_rows()]
        self._lane_n = np.arange(shape.d_state, dtype=np.int32) % 16 * 2048
        self._lane_p = (np.arange(shape.headdim, dtype=np.uint64) % 16) << np.uint64(28)

    def start_state(self, block: bytes) -> ReferenceState:
        """See `Engine.start_state`."""
        shape = self._shape
        state = ReferenceState(
            np.zeros((shape.num_layers, shape.num_heads, shape.headdim, shape.d_state), np.int32),
            np.zeros((shape.num_layers, 3, shape.conv_dim), np.int32),
            0,
        )
        for _ in range(WARMUP_FRAMES):
            self.backbone(state, block)
        return state

    def backbone(self, state: ReferenceState, block: bytes) -> ReferenceContext:
        """See `Engine.backbone`."""
        f = self._f
        high, low = self.frame_vector(block)
        residual = (self._frame_proj(high) + self._frame_proj.low(low)).astype(np.int32)
        for n, layer in enumerate(self._layers):
            update = layer.out_proj(self._mix(layer, residual, state.h[n], state.tail[n], state.step))
            update += residual
            residual = np.minimum(np.maximum(update, -(2**30)), 2**30).astype(np.int32)
        state.step = (state.step + 1) & 0xFFFFFFFF
        return ReferenceContext(self._tables.norm(residual, self._final_norm, f.eps_res, f.f_final_w, f.f_final))

    def outputs(self, ctx: ReferenceContext, before: bytes, inputs: bytes) -> I64:
        """All head outputs (numerics.md, section 7, `o`).

        Args:
            ctx: what `backbone` returned.
            before: the 16 input bytes of the frame that `backbone` consumed.
            inputs: the 16 input bytes of the next frame.
        """
        f = self._f
        if len(inputs) != frame.INPUTS_SIZE:
            raise StateError(
                "inputs length", expected=frame.INPUTS_SIZE, found=len(inputs), hint="two ControllerInputs"
            )
        raw = np.array(frame.conditions(before, inputs, self._encoding), np.int64)
        cv = _sat15(requantize(raw, self._ctrl_mul, f.s_ctrl))
        return self._heads(_sat15(ctx.values + self._ctrl_proj(cv)))

    def heads(self, ctx: ReferenceContext, block: bytes, inputs: bytes) -> bytes:
        """See `Engine.heads`."""
        o = self.outputs(ctx, frame.block_inputs(block), inputs)
        classes = [int(o[begin:end].argmax()) for begin, end in self._categorical]
        return frame.decode(block, o[self._numbers].tolist(), classes, self._f.head_frac, inputs, self._encoding)

    def dump(self, state: ReferenceState) -> bytes:
        """See `Engine.dump`."""
        layers = range(self._shape.num_layers)
        values = np.concatenate([part[n].ravel() for n in layers for part in (state.h, state.tail)])
        planes = (values >> 8).astype(np.int8).tobytes() + (values & 255).astype(np.uint8).tobytes()
        return planes + state.step.to_bytes(4, "little")

    def load(self, data: bytes) -> ReferenceState:
        """See `Engine.load`."""
        shape = self._shape
        if len(data) != self.state_size:
            raise StateError(
                "recurrent state length",
                expected=self.state_size,
                found=len(data),
                hint="use this cartridge's own state",
            )
        count = shape.state_values
        high = np.frombuffer(data, np.int8, count).astype(np.int32)
        values = ((high << 8) | np.frombuffer(data, np.uint8, count, count)).reshape(shape.num_layers, -1)
        cut = shape.d_inner * shape.d_state
        return ReferenceState(
            values[:, :cut].reshape(shape.num_layers, shape.num_heads, shape.headdim, shape.d_state).copy(),
            values[:, cut:].reshape(shape.num_layers, 3, shape.conv_dim).copy(),
            int.from_bytes(data[2 * count :], "little"),
        )

    def copy(self, state: ReferenceState) -> ReferenceState:
        """See `Engine.copy`."""
        return ReferenceState(state.h.copy(), state.tail.copy(), state.step)

    def frame_vector(self, block: bytes) -> tuple[I32, I32]:
        """Section 6.1: `hi`, `frame_dim` values in Q(f_frame), and `lo` of the floats, the next seven bits."""
        encoding = self._encoding
        first, second, stage = frame.unpack(block, encoding)
        raws: list[int] = []
        rows: list[NDArray[np.int32]] = []
        for i, player in enumerate((first, second)):
            raws += frame.player_raws(player, encoding)
            raws += frame.controls(frame.block_inputs(block, i), encoding.stick_range)
            for name, row in zip(encoding.player_embeddings, frame.embedding_rows(player, encoding), strict=True):
                rows.append(self._embeddings[name][row])
        wide = requantize(np.array(raws, np.int64), self._feature_mul, self._f.s_frame)
        wide = np.minimum(np.maximum(wide, -16383 * 128), 16383 * 128 + 127).astype(np.int32)
        high = np.concatenate([wide >> LOW_BITS, *rows, self._embeddings["stage_embed"][stage]])
        return high, wide & (1 << LOW_BITS) - 1

    def _mix(self, layer: _Layer, residual: I32, h: I32, tail: I32, step: int) -> I32:
        """Sections 6.2 to 6.6 up to out_proj's input, advancing this layer's state in place."""
        shape, f, tables = self._shape, layer.f, self._tables
        inner, n_state = shape.d_inner, shape.d_state
        u = tables.norm(residual, layer.norm, self._f.eps_res, f.f_in_w, f.f_in)
        p = layer.in_proj(u)
        z_xbc = np.minimum(np.maximum(p[: -shape.num_heads], -32768), 32767).astype(np.int32)
        z, xbc = z_xbc[:inner], z_xbc[inner:]
        dt_raw = np.minimum(np.maximum(p[-shape.num_heads :], -(2**26)), 2**26)

        conv = layer.conv_b + (tail * layer.taps[:3]).sum(axis=0, dtype=np.int32) + xbc * layer.taps[3]
        tail[:2] = tail[1:]
        tail[2] = xbc
        mixed = tables.silu(_sat16(rounded(conv, f.f_x + f.f_conv_w - f.f_c)), f.f_c)
        x = _sat16(mixed[:inner] << layer.row_gain).reshape(shape.num_heads, shape.headdim)
        b = mixed[inner : inner + n_state]
        b_shift = min(f.sh_b, 15 - int(np.abs(b).max()).bit_length())
        c = mixed[inner + n_state :]

        y = self._scan(layer, h, x, b << b_shift, c, dt_raw, step, b_shift)
        gated = (y.ravel() * tables.silu(z, f.f_z)) >> layer.row_gain
        return tables.norm(gated, layer.gate_norm, f.eps_gate, f.f_out_w, f.f_out)

    def _scan(self, layer: _Layer, h: I32, x: I32, b: I32, c: I32, dt_raw: I64, step: int, b_shift: int) -> I32:
        """Sections 6.4 and 6.5: advance `h` in place, return y (heads, headdim)."""
        shape, f, tables = self._shape, layer.f, self._tables
        dt = tables.softplus(dt_raw + layer.dt_bias)
        t = np.minimum((dt.astype(np.uint64) * layer.alpha) >> layer.alpha_shift, np.uint64(2**31 - 1))
        da = step * 18013 % 2**15
        a = np.minimum(32767, (tables.exp2neg(t).astype(np.int64) + 2 * da) >> 16).astype(np.int32)
        ed = np.array([max(0, int(v).bit_length() - 15) for v in dt], np.int64)
        dtm = np.minimum(32767, (dt + ((1 << ed) >> 1)) >> ed).astype(np.int32)
        sq = (layer.input_shift + b_shift - ed).astype(np.uint64)[:, None]

        lanes = (self._lane_p + np.uint64(step * 2882110345 & 0xFFFFFFFF)) & np.uint64(0xFFFFFFFF)
        dq = (lanes[None, :] >> (np.uint64(32) - sq)).astype(np.int32)
        q = _sat16((dtm[:, None] * x + dq) >> sq.astype(np.int32))
        dh = (self._lane_n + np.int32(step * 26843 % 2**15)) & 32767

        np.multiply(h, a[:, None, None], out=h)
        h += q[:, :, None] * b
        h += dh
        h >>= 15
        np.clip(h, -32768, 32767, out=h)

        products = h * c
        pairs = products[..., 0::2] + products[..., 1::2]
        acc = (pairs >> shape.read_shift).sum(axis=-1, dtype=np.int32)
        direct = rounded(x * layer.d, f.f_c + f.f_d - f.f_y)
        read: I32 = ((acc >> (layer.read_shift - 1)) + 1) >> 1
        return _sat16(read + direct)


def _sat15(value: NDArray[np.integer]) -> I32:
    clipped: NDArray[np.integer] = np.minimum(np.maximum(value, -16383), 16383)
    return clipped.astype(np.int32)


def _sat16(value: NDArray[np.int32]) -> I32:
    clipped: I32 = np.minimum(np.maximum(value, -32768), 32767)
    return clipped
