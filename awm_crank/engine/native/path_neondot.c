/* NEON with the dot product extension. */
#define AWM_PATH_NAME neondot
#define AWM_PATH_ID AWM_NEONDOT
#define AWM_K_GROUP 4
#define AWM_K_PAD 4
#define AWM_PLANES 2
#define AWM_ACT_XOR 0
#define AWM_MM_SESSIONS 2
#include "elem_neon.h"
#include "matmul_neondot.h"
#include "matmul_blocks.h"
#include "step.h"
