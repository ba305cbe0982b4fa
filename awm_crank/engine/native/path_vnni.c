/* AVX-512 with VNNI. */
#define AWM_PATH_NAME vnni
#define AWM_PATH_ID AWM_VNNI
#define AWM_K_GROUP 4
#define AWM_K_PAD 4
#define AWM_PLANES 2
#define AWM_ACT_XOR 0x80
#define AWM_MM_SESSIONS 2
#define AWM_V512 1
#include "elem_x86.h"
#include "matmul_vnni.h"
#include "matmul_blocks.h"
#include "step.h"
