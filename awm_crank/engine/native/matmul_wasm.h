/* WebAssembly SIMD128, deterministic instructions only: weights widened to 16 bits, i32x4.dot_i16x8_s on pairs. */
#include <wasm_simd128.h>

AWM_INLINE void mm_tile(i32 *AWM_RESTRICT out, u32 out_stride, const i8 *AWM_RESTRICT w, const i32 *AWM_RESTRICT corr,
                        const u8 *AWM_RESTRICT x, u32 x_stride, u32 kp, const int nv, const int ms)
{
    (void)corr;
    (void)ms;
    (void)out_stride;
    (void)x_stride;
    for (int half = 0; half < nv; half++) {
        const i8 *at = w + 32 * half;
        v128_t acc[4];
        AWM_UNROLL
        for (int v = 0; v < 4; v++)
            acc[v] = wasm_i32x4_splat(0);
        for (u32 k = 0; k < kp; k += 2, at += 32 * nv) {
            const v128_t xs = wasm_v128_load32_splat(x + 2 * (uptr)k);
            AWM_UNROLL
            for (int v = 0; v < 4; v++)
                acc[v] = wasm_i32x4_add(acc[v], wasm_i32x4_dot_i16x8(wasm_i16x8_load8x8(at + 8 * v), xs));
        }
        AWM_UNROLL
        for (int v = 0; v < 4; v++)
            wasm_v128_store(out + 16 * half + 4 * v, acc[v]);
    }
}
