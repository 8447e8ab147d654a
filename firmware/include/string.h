/* The three functions of <string.h> that generated code and compilers call; a bare toolchain may have no C library. */
#ifndef TQ_STRING_H
#define TQ_STRING_H

#include <stddef.h>

void *memcpy(void *restrict destination, const void *restrict source, size_t count);
void *memmove(void *destination, const void *source, size_t count);
void *memset(void *destination, int value, size_t count);

#endif
