/* cpu.h of the development machine: neither a stack of our own nor an instruction to spin on. */
#ifndef CPU_H
#define CPU_H

#include <stddef.h>
#include <stdint.h>

static inline uint32_t *cpu_stack_limit(void)
{
    return NULL;
}

static inline uint32_t *cpu_stack_pointer(void)
{
    return NULL;
}

static inline void cpu_spin(uint32_t turns)
{
    (void)turns;
}

#endif
