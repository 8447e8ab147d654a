/* A free-running 32-bit up-counter at an address of the board. */
#include "hal.h"

#include "counter.h"

uint32_t hal_counter(void)
{
    return *(const volatile uint32_t *)TQ_COUNTER_ADDRESS;
}
