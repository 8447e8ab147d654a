/* cpu.h, Arm Cortex-M: what C cannot say. */
#ifndef CPU_H
#define CPU_H

#include <stdint.h>

extern uint32_t tq_stack_limit[]; /* lowest word of the stack, from the linker script */

/* The debugger or emulator acts on operation and its argument block; -1 when there is none (see startup.c). */
static inline intptr_t cpu_semihosting(intptr_t operation, const void *argument)
{
    register intptr_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static inline uint32_t *cpu_stack_limit(void)
{
    return tq_stack_limit;
}

static inline uint32_t *cpu_stack_pointer(void)
{
    uint32_t *pointer;
    __asm__ volatile("mov %0, sp" : "=r"(pointer));
    return pointer;
}

/* Two instructions per turn, turns >= 1. */
static inline void cpu_spin(uint32_t turns)
{
    __asm__ volatile(".syntax unified\n1: subs %0, %0, #1\n bne 1b" : "+l"(turns) : : "cc");
}

static inline void cpu_wait(void)
{
    __asm__ volatile("wfi");
}

#endif
