/* WebAssembly SIMD128. */
#define AWM_PATH_NAME wasm
#define AWM_PATH_ID AWM_WASM
#define AWM_K_GROUP 2
#define AWM_K_PAD 2
#define AWM_PLANES 1
#define AWM_ACT_XOR 0
#define AWM_MM_SESSIONS 1
#include "elem_portable.h"
#include "matmul_wasm.h"
#include "matmul_blocks.h"
#include "step.h"
