/* Fixed-width types and the few compiler words that the kernel uses. No libc header, so that the same source builds for
 * the host, for WebAssembly and for the SVM. */
#ifndef AWM_TYPES_H
#define AWM_TYPES_H

typedef signed char i8;
typedef short i16;
typedef int i32;
typedef long long i64;
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef __UINTPTR_TYPE__ uptr;

_Static_assert(sizeof(i8) == 1 && sizeof(i16) == 2 && sizeof(i32) == 4 && sizeof(i64) == 8, "fixed widths");
_Static_assert((-1 >> 1) == -1, "right shifts of negative numbers are arithmetic");

#define AWM_INLINE static inline __attribute__((always_inline))
#ifdef AWM_SBF /* a call can have at most 5 arguments there */
#define AWM_FN AWM_INLINE
#else
#define AWM_FN static
#endif
#define AWM_RESTRICT __restrict__
#define AWM_UNROLL _Pragma("GCC unroll 8")

#endif
