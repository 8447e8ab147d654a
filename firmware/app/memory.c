/* memcpy, memmove, memset: what compilers call behind our back. Words where both sides are aligned, bytes elsewhere. */
#include <stdint.h>
#include <string.h>

/* A compiler must not recognize a loop as the very function it is in. */
#if defined(__clang__)
#define LOOPS_STAY_LOOPS __attribute__((no_builtin))
#else
#define LOOPS_STAY_LOOPS __attribute__((optimize("no-tree-loop-distribute-patterns")))
#endif

typedef uint32_t word_t __attribute__((may_alias));

enum
{
    WORD = 4
};

static int aligned(const void *a, const void *b)
{
    return (((uintptr_t)a | (uintptr_t)b) & (uintptr_t)(WORD - 1)) == 0U;
}

LOOPS_STAY_LOOPS void *memcpy(void *restrict destination, const void *restrict source, size_t count)
{
    uint8_t *to = destination;
    const uint8_t *from = source;
    if (aligned(to, from))
    {
        for (; count >= (size_t)WORD; count -= (size_t)WORD)
        {
            *(word_t *)(void *)to = *(const word_t *)(const void *)from;
            to += WORD;
            from += WORD;
        }
    }
    for (; count > 0U; --count)
    {
        *to++ = *from++;
    }
    return destination;
}

LOOPS_STAY_LOOPS void *memmove(void *destination, const void *source, size_t count)
{
    uint8_t *to = destination;
    const uint8_t *from = source;
    if ((uintptr_t)to <= (uintptr_t)from)
    {
        for (size_t i = 0; i < count; ++i)
        {
            to[i] = from[i];
        }
    }
    else
    {
        for (size_t i = count; i > 0U; --i)
        {
            to[i - 1U] = from[i - 1U];
        }
    }
    return destination;
}

LOOPS_STAY_LOOPS void *memset(void *destination, int value, size_t count)
{
    uint8_t *to = destination;
    const uint32_t pattern = (uint32_t)(uint8_t)value * 0x01010101U;
    for (; (count > 0U) && !aligned(to, NULL); --count)
    {
        *to++ = (uint8_t)value;
    }
    for (; count >= (size_t)WORD; count -= (size_t)WORD)
    {
        *(word_t *)(void *)to = pattern;
        to += WORD;
    }
    for (; count > 0U; --count)
    {
        *to++ = (uint8_t)value;
    }
    return destination;
}
