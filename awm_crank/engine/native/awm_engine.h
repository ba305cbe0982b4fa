/* The contract of the native engine. What is computed: docs/numerics.md; what is read: docs/cartridge.md; section
 * numbers in the sources refer to the first.
 *
 * Integer C without libc: no floats, no allocation, no globals that are written. The caller hands in memory:
 *
 *   image    a cartridge, checked and repacked for one path (awm_image_bytes, awm_image_build). Position-independent:
 *            offsets, no pointers, so that it can be built on one machine and run in another one's sandbox.
 *   state    one session's recurrent state, awm_image.state_bytes; the same layout on every path.
 *   scratch  awm_scratch_bytes(image, sessions) bytes, used during one call only.
 *
 * All three are aligned to 64 bytes. A call may be made by a team of threads: each calls with the same arguments and its
 * own `id`, and `barrier` returns when all have reached it. Alone: count 1, barrier unused.
 *
 * Blocks are awm_image.block_bytes (97, and the world's extra feedback), inputs 16, a context is d_model int16 (padded to
 * AWM_PAD values). */
#ifndef AWM_ENGINE_H
#define AWM_ENGINE_H
#include "awm_contract.h"

#define AWM_PAD 64u       /* every vector of the image and of scratch is padded to a multiple of this many values */
#define AWM_BLOCK ((u32)sizeof(FrameBlock))
#define AWM_INPUTS (2u * (u32)sizeof(ControllerInput))
#define AWM_IMAGE_MAGIC 0x474d4957u

/* Why a cartridge is refused by awm_image_bytes. Structure and shifts only: what makes reading and shifting safe. The
 * bounds of section 10 are the loader's in Python, before this. */
enum {
    AWM_OK = 0,
    AWM_BAD_HEADER = 1, /* magic, version, sizes */
    AWM_BAD_SHAPE = 2,
    AWM_BAD_DIRECTORY = 3,
    AWM_BAD_SHIFT = 4,
    AWM_BAD_WEIGHT = 5, /* a weight of -128, which the packed paths cannot handle */
};

typedef struct {
    u32 w, corr, m, bias;       /* offsets in the image; bias 0 = none */
    u32 rows, cols, vecs, kp;   /* vecs: rows / 16 rounded up; kp: columns with padding */
    u32 shift, pad;
} awm_matrix;

typedef struct {
    awm_matrix in, out;
    u64 eps_gate;
    u32 norm_w, gate_w, conv_w, conv_b, dt_bias, alpha, d, hs;
    u32 row_mul, row_gain;      /* i16: 2^gain, and the gain, of each row of the state; 0 if no row has a gain */
    u32 silu_c, silu_z;         /* the on-chain engine's tables of SiLU in Q(f_c) and Q(f_z); 0 elsewhere */
    i32 f_in, f_in_w, f_z, f_x, f_conv_w, f_c, sh_b, f_y, f_d, f_out, f_out_w, pad;
} awm_layer;

typedef struct {
    u32 magic, path, bytes, k_group;
    u32 d_model, d_inner, d_state, heads, headdim, layers, channels, rows, frame_dim, flags;
    u32 floats, controls, head_rows;           /* of one player: floats, features that condition; rows of the heads */
    u32 block_bytes, extra_bytes;              /* of a frame block; of one player's extra feedback at its end */
    i32 stick_range;                           /* a stick's byte at full tilt; 0: the axis has 255 steps from -128 on */
    u32 headdim_pad, channels_pad;             /* sizes of the state's layout */
    u32 layer_bytes, tail_offset, state_bytes; /* of a session's state: layer l at l * layer_bytes, its tail behind h */
    u32 dump_bytes;                            /* length of a serialized state: 2 * B + 4 of section 5 */
    i32 f_frame, f_ctrl, f_res, f_final, f_final_w;
    u32 s_frame, s_ctrl;
    u32 feature_mul, ctrl_mul, embed[EMBED_COUNT]; /* the embedding tables, in the order of the cartridge */
    u32 final_w, lut, sig_pairs;
    u32 zeros;                                 /* d_model int32: `corr` of activations without an offset */
    u32 act_bytes;                             /* of one session's activation in the path's format, any matrix */
    u64 eps_res;
    awm_matrix frame_proj, ctrl_proj, head;
    u8 head_frac[REGRESSION_ROWS], hitstun_frac[2];
    awm_layer layer[AWM_MAX_LAYERS];
} awm_image;

typedef struct {
    u32 id, count;
    void (*barrier)(void *arg);
    void *arg;
} awm_team;

/* One path: the same step, compiled for one instruction set. */
typedef struct {
    const char *name;
    u32 id;
    u32 k_group;   /* how many columns a packed matrix stores together; 0: row-major, as in the cartridge */
    u32 k_pad;     /* the number of columns is rounded up to a multiple of this */
    u32 planes;    /* 1: activations are int16; 2: bytes, high plane then low plane */
    u32 act_xor;   /* the offset of the high plane */

    /* Consumes one block for each session: advances states[i] in place and writes contexts[i]. */
    void (*backbone)(const awm_image *image, void *const *states, const u8 *const *blocks, i16 *const *contexts,
                     u32 sessions, void *scratch, const awm_team *team);
    /* Computes the next block from context, block and the next inputs. */
    void (*heads)(const awm_image *image, const i16 *const *contexts, const u8 *const *blocks, const u8 *const *inputs,
                  u8 *const *next, u32 sessions, void *scratch, const awm_team *team);
    /* For the benchmark: the bare loops of the step over all layers; bit mask `what` of AWM_RUN_*. */
    void (*bare)(const awm_image *image, void *const *states, u32 sessions, void *scratch, u32 what, const awm_team *team);
} awm_path;

#define AWM_RUN_MATMUL 1u  /* the projections' matrix loop */
#define AWM_RUN_SCAN 2u    /* one pass over the recurrent state: updates h, reads it out, shifts the last inputs of the convolution */
#define AWM_RUN_NORM 4u    /* both norms of each layer */
#define AWM_RUN_REQUANT 8u /* requantization behind each projection, the residual included */
#define AWM_RUN_CONV 16u   /* convolution with its SiLU */
#define AWM_RUN_GATE 32u   /* SiLU of z times y */
#define AWM_RUN_SCALARS 64u /* softplus, exponential: the head scalars */

enum { AWM_PLAIN, AWM_AVX2, AWM_AVX512BW, AWM_VNNI, AWM_AMX, AWM_NEON, AWM_NEONDOT, AWM_WASM, AWM_PATHS };

extern const awm_path awm_path_plain, awm_path_avx2, awm_path_avx512bw, awm_path_vnni, awm_path_amx, awm_path_neon,
    awm_path_neondot, awm_path_wasm;

/* The size of the image that a path makes of a cartridge; or 0, and *why is an AWM_BAD_* code. */
u64 awm_image_bytes(const u8 *cartridge, u64 size, const awm_path *path, i32 *why);
/* Builds the image into memory of that size. awm_image_bytes must have accepted the cartridge before. */
void awm_image_build(void *memory, const u8 *cartridge, const awm_path *path);
u64 awm_scratch_bytes(const awm_image *image, u32 sessions);

/* Serializes the state as section 5 says (dump_bytes long), and reads it back. */
void awm_state_dump(const awm_image *image, const void *state, u8 *out);
void awm_state_load(const awm_image *image, void *state, const u8 *in);

/* Checks the 97 bytes that every block has; every value of the extra feedback is allowed.
 * 0, or 1 + the offset in the block of the first field that section 9 does not allow. */
u32 awm_block_check(const u8 *block);

#endif
