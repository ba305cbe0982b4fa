/* AVX-512 F, BW, DQ, VL. */
#define AWM_PATH_NAME avx512bw
#define AWM_PATH_ID AWM_AVX512BW
#define AWM_K_GROUP 2
#define AWM_K_PAD 2
#define AWM_PLANES 1
#define AWM_ACT_XOR 0
#define AWM_MM_SESSIONS 4
#define AWM_V512 1
#include "elem_x86.h"
#include "matmul_avx512bw.h"
#include "matmul_blocks.h"
#include "step.h"
