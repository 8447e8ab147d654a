/* Where generated data lives. A linker script places .rodata.tq_weights in flash and .bss.tq_arena in RAM.
 * TQ_OUTLINED: a function that is neither inlined nor copied for some of its callers.
 */
#ifndef TQ_MEMORY_H
#define TQ_MEMORY_H

#if defined(__GNUC__) && defined(__ELF__)
#define TQ_WEIGHTS __attribute__((section(".rodata.tq_weights"), aligned(16)))
#define TQ_ARENA __attribute__((section(".bss.tq_arena"), aligned(16)))
#elif defined(__GNUC__)
#define TQ_WEIGHTS __attribute__((aligned(16)))
#define TQ_ARENA __attribute__((aligned(16)))
#else
#define TQ_WEIGHTS
#define TQ_ARENA
#endif

#if defined(__clang__)
#define TQ_OUTLINED __attribute__((noinline))
#elif defined(__GNUC__)
#define TQ_OUTLINED __attribute__((noinline, noclone))
#else
#define TQ_OUTLINED
#endif

#endif
