/* RISC-V: the low half of the count of retired instructions, CSR minstret. */
#include "hal.h"

uint32_t hal_counter(void)
{
    uint32_t count;
    __asm__ volatile(".option arch, +zicsr\n csrr %0, 0xb02" : "=r"(count));
    return count;
}
