/* test_real_math.c once more, compiled for processors with fused multiply-add. */
#if defined(__x86_64__) && defined(__GNUC__)
#define TEST_WITH_FMA 1
#endif
#include "test_real_math.c"
