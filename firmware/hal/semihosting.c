/* HAL over semihosting: the debugger or emulator does the input and output. cpu.h knows the trap. */
#include "hal.h"

#include "cpu.h"

enum
{
    SYS_OPEN = 0x01,
    SYS_CLOSE = 0x02,
    SYS_WRITE0 = 0x04,
    SYS_WRITE = 0x05,
    SYS_READ = 0x06,
    SYS_EXIT_EXTENDED = 0x20,
    MODE_READ_BINARY = 1,
    MODE_WRITE_BINARY = 5,
    APPLICATION_EXIT = 0x20026
};

/* volatile: not to become a call of strlen, which nobody gives. */
static uintptr_t text_length(const volatile char *text)
{
    uintptr_t length = 0;
    while (text[length] != '\0')
    {
        ++length;
    }
    return length;
}

int32_t hal_open(const char *name, int32_t mode)
{
    const uintptr_t block[3] = {
        (uintptr_t)name,
        (mode == HAL_READ) ? (uintptr_t)MODE_READ_BINARY : (uintptr_t)MODE_WRITE_BINARY,
        text_length(name),
    };
    return (int32_t)cpu_semihosting(SYS_OPEN, block);
}

/* SYS_READ and SYS_WRITE answer with the number of bytes not transferred. */
int32_t hal_read(int32_t file, void *data, uint32_t bytes)
{
    const uintptr_t block[3] = {(uintptr_t)file, (uintptr_t)data, bytes};
    return (bytes == 0U) ? 0 : (int32_t)cpu_semihosting(SYS_READ, block);
}

int32_t hal_write(int32_t file, const void *data, uint32_t bytes)
{
    const uintptr_t block[3] = {(uintptr_t)file, (uintptr_t)data, bytes};
    return (bytes == 0U) ? 0 : (int32_t)cpu_semihosting(SYS_WRITE, block);
}

void hal_close(int32_t file)
{
    const uintptr_t block[1] = {(uintptr_t)file};
    (void)cpu_semihosting(SYS_CLOSE, block);
}

void hal_print(const char *text)
{
    (void)cpu_semihosting(SYS_WRITE0, text);
}

void hal_exit(int32_t code)
{
    const uintptr_t block[2] = {APPLICATION_EXIT, (uintptr_t)code};
    (void)cpu_semihosting(SYS_EXIT_EXTENDED, block);
    for (;;)
    {
        cpu_wait();
    }
}
