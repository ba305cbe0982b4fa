/* The AMX tile instructions that matmul_amx.h uses, in plain C, from their description in Intel's manual. */
typedef struct { u8 rows, colsb; i8 bytes[16][64]; } amx_tile;
static _Thread_local amx_tile amx_tiles[8];

static void emulated_loadconfig(const void *cfg)
{
    const u8 *bytes = cfg;
    for (int t = 0; t < 8; t++) {
        amx_tiles[t].colsb = bytes[16 + 2 * t];
        amx_tiles[t].rows = bytes[48 + t];
    }
}

static void emulated_zero(int t)
{
    for (int i = 0; i < 16 * 64; i++)
        amx_tiles[t].bytes[i / 64][i % 64] = 0;
}

static void emulated_loadd(int t, const void *base, uptr stride)
{
    emulated_zero(t);
    for (int r = 0; r < amx_tiles[t].rows; r++)
        __builtin_memcpy(amx_tiles[t].bytes[r], (const i8 *)base + (uptr)r * stride, amx_tiles[t].colsb);
}

static void emulated_stored(int t, void *base, uptr stride)
{
    for (int r = 0; r < amx_tiles[t].rows; r++)
        __builtin_memcpy((i8 *)base + (uptr)r * stride, amx_tiles[t].bytes[r], amx_tiles[t].colsb);
}

static void emulated_dpbssd(int c, int a, int b)
{
    for (int m = 0; m < amx_tiles[c].rows; m++)
        for (int n = 0; n < amx_tiles[c].colsb / 4; n++) {
            i32 sum;
            __builtin_memcpy(&sum, amx_tiles[c].bytes[m] + 4 * n, 4);
            for (int k = 0; k < amx_tiles[a].colsb; k++)
                sum += amx_tiles[a].bytes[m][k] * amx_tiles[b].bytes[k / 4][4 * n + k % 4];
            __builtin_memcpy(amx_tiles[c].bytes[m] + 4 * n, &sum, 4);
        }
}

static void emulated_release(void)
{
}
