/* Two generated headers describe the same blocks: the engine's (awm_contract.h) and the programs' (awm_layout.h). This
 * program takes blocks and cartridge from the first, and accounts from the second. */
#pragma once
#define PlayerState LayoutPlayerState
#define ControllerInput LayoutControllerInput
#define Feedback LayoutFeedback
#define FrameBlock LayoutFrameBlock
#include "awm_layout.h"
#undef PlayerState
#undef ControllerInput
#undef Feedback
#undef FrameBlock
#undef OFF
#undef AT
#include "accounts.h"

#define AWM_SBF
#include "frame.h"
#include "elem_portable.h"

#define HEAP ((u8 *)0x300000000ULL) /* 32 KiB, zero at the start of every instruction */
#define HEAP_BYTES 32768
