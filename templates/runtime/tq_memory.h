/* Where generated data lives. A linker script places .rodata.tq_weights in flash and .bss.tq_arena in RAM. */
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

#endif
