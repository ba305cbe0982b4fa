/* AVX2. */
#define AWM_PATH_NAME avx2
#define AWM_PATH_ID AWM_AVX2
#define AWM_K_GROUP 2
#define AWM_K_PAD 2
#define AWM_PLANES 1
#define AWM_ACT_XOR 0
#define AWM_MM_SESSIONS 4
#define AWM_V512 0
#include "elem_x86.h"
#include "matmul_avx2.h"
#include "matmul_blocks.h"
#include "step.h"
