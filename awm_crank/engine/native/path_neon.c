/* NEON as every 64-bit Arm has it. */
#define AWM_PATH_NAME neon
#define AWM_PATH_ID AWM_NEON
#define AWM_K_GROUP 1
#define AWM_K_PAD 1
#define AWM_PLANES 1
#define AWM_ACT_XOR 0
#define AWM_MM_SESSIONS 4
#include "elem_neon.h"
#include "matmul_neon.h"
#include "matmul_blocks.h"
#include "step.h"
