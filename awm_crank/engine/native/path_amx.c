/* AMX INT8 for the projections, AVX-512 for the rest. */
#define AWM_PATH_NAME amx
#define AWM_PATH_ID AWM_AMX
#define AWM_K_GROUP 4
#define AWM_K_PAD 64
#define AWM_PLANES 2
#define AWM_ACT_XOR 0
#define AWM_V512 1
#include "elem_x86.h"
#include "matmul_amx.h"
#include "step.h"
