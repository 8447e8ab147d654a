/* hooks.h: what happens around the model and its layers. */
#ifndef HOOKS_H
#define HOOKS_H

#include <stdint.h>

enum
{
    MODE_RUN,
    MODE_TRACE,
    MODE_PROFILE
};

void hooks_open(uint32_t mode);
void hooks_reset(void);
void hooks_run(const int8_t *inputs, int8_t *outputs);
void hooks_close(void);

/* Failure ends the program. */
int32_t open_to_write(const char *name);
void write_all(int32_t file, const void *data, uint32_t bytes);

#endif
