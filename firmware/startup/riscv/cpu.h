/* cpu.h, RISC-V in machine mode: what C cannot say. */
#ifndef CPU_H
#define CPU_H

#include <stdint.h>

extern uint32_t tq_stack_limit[]; /* lowest word of the stack, from the linker script */

/* The debugger or emulator acts on operation and its argument block; -1 when there is none (see startup.c).
 * The three instructions are the semihosting mark; they must be uncompressed and lie in one page.
 */
static inline intptr_t cpu_semihosting(intptr_t operation, const void *argument)
{
    register intptr_t a0 __asm__("a0") = operation;
    register const void *a1 __asm__("a1") = argument;
    __asm__ volatile(".option push\n .option norvc\n .balign 16\n"
                     " slli x0, x0, 0x1f\n ebreak\n srai x0, x0, 7\n .option pop"
                     : "+r"(a0)
                     : "r"(a1)
                     : "memory", "t0");
    return a0;
}

static inline uint32_t *cpu_stack_limit(void)
{
    return tq_stack_limit;
}

static inline uint32_t *cpu_stack_pointer(void)
{
    uint32_t *pointer;
    __asm__ volatile("mv %0, sp" : "=r"(pointer));
    return pointer;
}

/* Two instructions per turn, turns >= 1. */
static inline void cpu_spin(uint32_t turns)
{
    __asm__ volatile("1: addi %0, %0, -1\n bnez %0, 1b" : "+r"(turns));
}

static inline void cpu_wait(void)
{
    __asm__ volatile("wfi");
}

#endif
