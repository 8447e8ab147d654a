/* HAL of a process on the development machine: the C library's files. */
#include "hal.h"

#include <stdio.h>
#include <stdlib.h>

enum
{
    MAX_FILES = 8
};

static FILE *files[MAX_FILES];

int32_t hal_open(const char *name, int32_t mode)
{
    for (int32_t i = 0; i < MAX_FILES; ++i)
    {
        if (files[i] == NULL)
        {
            files[i] = fopen(name, (mode == HAL_READ) ? "rb" : "wb");
            return (files[i] == NULL) ? -1 : i;
        }
    }
    return -1;
}

int32_t hal_read(int32_t file, void *data, uint32_t bytes)
{
    return (fread(data, 1, bytes, files[file]) == bytes) ? 0 : -1;
}

int32_t hal_write(int32_t file, const void *data, uint32_t bytes)
{
    return (fwrite(data, 1, bytes, files[file]) == bytes) ? 0 : -1;
}

void hal_close(int32_t file)
{
    (void)fclose(files[file]);
    files[file] = NULL;
}

void hal_print(const char *text)
{
    (void)fputs(text, stdout);
}

void hal_exit(int32_t code)
{
    (void)fflush(stdout);
    exit((int)code);
}
