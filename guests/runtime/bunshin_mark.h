/* Marks for Bunshin: where a region of interest begins and ends, and which timing it should have.
 *
 * A mark is a multi-byte NOP. Processors since the Pentium Pro, and other simulators, execute it as one, at any
 * privilege; under Bunshin it begins or ends a region's statistics, or switches the pipeline if the configuration
 * allows it (docs/regions.md). Leave it in.
 *
 *     #include "bunshin_mark.h"
 *     bunshin_begin(0);       // region 0 is called "roi"
 *     work();
 *     bunshin_end(0);
 *
 * For C and C++ with GCC or Clang, in programs, kernels and bare-metal code, 32 and 64 bits; numbers (0 to 4095) must
 * be constants. Assembly gets the same as macros. 16-bit code: BUNSHIN_MARK16.
 */
#ifndef BUNSHIN_MARK_H
#define BUNSHIN_MARK_H

#define BUNSHIN_MARK_SIGNATURE 0x4e42

/* Operations. */
#define BUNSHIN_MARK_BEGIN 0
#define BUNSHIN_MARK_END 1
#define BUNSHIN_MARK_REQUEST 2
#define BUNSHIN_MARK_POINT 3

/* Numbers of a request. */
#define BUNSHIN_TIMING_NONE 0
#define BUNSHIN_TIMING_INORDER 1
#define BUNSHIN_TIMING_OOO 2

/* The displacement of nopl disp32(%rdx,%rdx,8). */
#define BUNSHIN_MARK_VALUE(operation, number) ((BUNSHIN_MARK_SIGNATURE << 16) | ((operation) << 12) | ((number)&0xfff))

#ifdef __ASSEMBLER__

#define BUNSHIN_MARK(operation, number) \
  .byte 0x0f, 0x1f, 0x84, 0xd2;         \
  .long BUNSHIN_MARK_VALUE(operation, number)
#define BUNSHIN_MARK16(operation, number) \
  .byte 0x67;                             \
  BUNSHIN_MARK(operation, number)

#define bunshin_begin(number) BUNSHIN_MARK(BUNSHIN_MARK_BEGIN, number)
#define bunshin_end(number) BUNSHIN_MARK(BUNSHIN_MARK_END, number)
#define bunshin_request(timing) BUNSHIN_MARK(BUNSHIN_MARK_REQUEST, timing)
#define bunshin_point(number) BUNSHIN_MARK(BUNSHIN_MARK_POINT, number)

#else

#define BUNSHIN_MARK(operation, number)                             \
  __asm__ __volatile__(".byte 0x0f, 0x1f, 0x84, 0xd2\n\t.long %c0"  \
                       :                                            \
                       : "i"(BUNSHIN_MARK_VALUE(operation, number)) \
                       : "memory")
#define BUNSHIN_MARK16(operation, number)                                \
  __asm__ __volatile__(".byte 0x67, 0x0f, 0x1f, 0x84, 0xd2\n\t.long %c0" \
                       :                                                 \
                       : "i"(BUNSHIN_MARK_VALUE(operation, number))      \
                       : "memory")

/* Region `number` begins, ends. Regions may nest and overlap; one that is begun twice ends with the second end. */
#define bunshin_begin(number) BUNSHIN_MARK(BUNSHIN_MARK_BEGIN, number)
#define bunshin_end(number) BUNSHIN_MARK(BUNSHIN_MARK_END, number)
/* From here on BUNSHIN_TIMING_…, on all cores; ignored unless the configuration says machine.obey_requests: true. */
#define bunshin_request(timing) BUNSHIN_MARK(BUNSHIN_MARK_REQUEST, timing)
/* A place that the configuration may refer to (mark:NUMBER). */
#define bunshin_point(number) BUNSHIN_MARK(BUNSHIN_MARK_POINT, number)

#endif

#endif
