/* Reset, vectors and faults of Arm Cortex-M. */
#include <stdint.h>

#include "cpu.h"
#include "hal.h"

#define CPACR ((volatile uint32_t *)0xE000ED88U)
#define CCR ((volatile uint32_t *)0xE000ED14U)
#define CPACR_FPU_AND_MVE (0xFU << 20)
#define CCR_LOW_OVERHEAD_BRANCH (1U << 19)
#define BKPT_SEMIHOSTING 0xBEABU

int main(void);
void tq_reset(void) __attribute__((noreturn));
void tq_fault_entry(void);
void tq_fault(uint32_t *frame);

extern uint32_t tq_stack_top[];
extern uint32_t tq_data_start[];
extern uint32_t tq_data_end[];
extern const uint32_t tq_data_load[];
extern uint32_t tq_bss_start[];
extern uint32_t tq_bss_end[];

struct vectors
{
    uint32_t *stack_top;
    void (*reset)(void);
    void (*exceptions[14])(void);
};

extern const struct vectors tq_vectors;

const struct vectors tq_vectors __attribute__((section(".vectors"), used)) = {
    tq_stack_top,
    tq_reset,
    {tq_fault_entry, tq_fault_entry, tq_fault_entry, tq_fault_entry, tq_fault_entry, tq_fault_entry, tq_fault_entry,
     tq_fault_entry, tq_fault_entry, tq_fault_entry, tq_fault_entry, tq_fault_entry, tq_fault_entry, tq_fault_entry},
};

/* Apart from tq_reset, whose prologue must not save a vector register before they are switched on. */
__attribute__((noinline, noreturn)) static void start(void)
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

void tq_reset(void)
{
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
    *CPACR |= CPACR_FPU_AND_MVE;
#if defined(__ARM_FEATURE_MVE)
    *CCR |= CCR_LOW_OVERHEAD_BRANCH;
#endif
    __asm__ volatile("dsb\n isb" : : : "memory");
#endif
    start();
}

__attribute__((naked)) void tq_fault_entry(void)
{
    __asm__ volatile("mrs r0, msp\n push {r4, lr}\n bl tq_fault\n pop {r4, pc}");
}

/* frame: r0 r1 r2 r3 r12 lr pc xpsr, as the core stacked them.
 * Without a debugger a semihosting call arrives here: answer -1 and go on behind it. All else ends the program.
 */
void tq_fault(uint32_t *frame)
{
    const uint16_t *instruction = (const uint16_t *)frame[6];
    uint32_t exception;
    __asm__ volatile("mrs %0, ipsr" : "=r"(exception));
    if (((exception == 3U) || (exception == 12U)) && (*instruction == BKPT_SEMIHOSTING))
    {
        frame[0] = 0xFFFFFFFFU;
        frame[6] += 2U;
        return;
    }
    hal_exit(HAL_FAULT + (int32_t)exception);
}
