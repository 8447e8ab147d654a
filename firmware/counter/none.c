/* A board without an instruction counter. */
#include "hal.h"

uint32_t hal_counter(void)
{
    return 0U;
}
