/* Reset and traps of RISC-V in machine mode. */
#include <stdint.h>

#include "cpu.h"
#include "hal.h"

int main(void);
void tq_reset(void) __attribute__((noreturn));
void tq_start(void) __attribute__((noreturn));
void tq_trap_entry(void);
void tq_fault(uint32_t cause) __attribute__((noreturn));

extern uint32_t tq_data_start[];
extern uint32_t tq_data_end[];
extern const uint32_t tq_data_load[];
extern uint32_t tq_bss_start[];
extern uint32_t tq_bss_end[];

/* First bytes of the image: the core starts here. */
__attribute__((naked, used, section(".vectors"))) void tq_reset(void)
{
    __asm__ volatile(".option arch, +zicsr\n la sp, tq_stack_top\n la t0, tq_trap_entry\n csrw 0x305, t0\n j tq_start");
}

void tq_start(void)
{
    const volatile uint32_t *from = tq_data_load;
    for (volatile uint32_t *to = tq_data_start; to < tq_data_end; ++to)
    {
        *to = *from++;
    }
    for (volatile uint32_t *to = tq_bss_start; to < tq_bss_end; ++to)
    {
        *to = 0U;
    }
    hal_exit((int32_t)main());
}

/* CSRs by number: 0x341 mepc, 0x342 mcause. Without a debugger a semihosting call arrives here as a breakpoint
 * (cause 3): answer -1 and go on behind it; cpu_semihosting gives t0 away. All else ends the program.
 */
__attribute__((naked, aligned(4))) void tq_trap_entry(void)
{
    __asm__ volatile(".option arch, +zicsr\n csrr t0, 0x342\n addi t0, t0, -3\n bnez t0, 1f\n"
                     " csrr t0, 0x341\n addi t0, t0, 4\n csrw 0x341, t0\n li a0, -1\n mret\n"
                     "1: csrr a0, 0x342\n j tq_fault");
}

void tq_fault(uint32_t cause)
{
    hal_exit(HAL_FAULT + (int32_t)(cause & 0x1FU));
}
