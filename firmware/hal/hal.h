/* hal.h: all that the firmware asks of the place where it runs. */
#ifndef HAL_H
#define HAL_H

#include <stdint.h>

/* Exit codes. A fault exits with HAL_FAULT + the number of the exception. */
enum
{
    HAL_DONE = 0,
    HAL_BAD_JOB = 10,        /* inputs.bin is not for this image */
    HAL_NEEDS_TRACE = 11,    /* the job asks for layers, the image was built without TQ_TRACE */
    HAL_READ_FAILED = 12,
    HAL_WRITE_FAILED = 13,
    HAL_STACK_OVERFLOW = 14,
    HAL_FAULT = 32
};

enum
{
    HAL_READ,
    HAL_WRITE
};

/* A file of the working directory, by relative name; negative when it cannot be opened. */
int32_t hal_open(const char *name, int32_t mode);

/* All the bytes or failure: 0 on success. */
int32_t hal_read(int32_t file, void *data, uint32_t bytes);
int32_t hal_write(int32_t file, const void *data, uint32_t bytes);

void hal_close(int32_t file);
void hal_print(const char *text);
void hal_exit(int32_t code) __attribute__((noreturn));

/* The board's free-running up-counter, see counter/; 0 where there is none. */
uint32_t hal_counter(void);

#endif
