/* The hooks: silent, tracing every layer's output, or timing with the board's counter.
 *
 * profile.bin is a sequence of struct interval: raw readings, which the reader subtracts and converts one by one.
 *   SPIN_SHORT, SPIN_LONG  cpu_spin of known length: does the counter count instructions?
 *   EMPTY_MODEL            what two readings cost by themselves
 *   EMPTY_LAYER            a layer that does nothing; EMPTY_STEP: one whose end is the next layer's begin
 *   WHOLE_MODEL            one tq_model_run (only an image without TQ_TRACE tells the truth)
 *   below                  layer number; STEP is added where the next layer's begin ended the interval
 */
#include "hooks.h"

#include "cpu.h"
#include "hal.h"
#include "tq_model.h"
#include "tq_trace.h"

enum
{
    SHORT_TURNS = 100,
    LONG_TURNS = 100100,
    STEP = 0x10000000,
    SPIN_SHORT = 0x20000000,
    SPIN_LONG,
    EMPTY_MODEL,
    EMPTY_LAYER,
    EMPTY_STEP,
    WHOLE_MODEL
};

struct interval
{
    uint32_t what;
    uint32_t first;
    uint32_t last;
};

static uint32_t hook_mode;
static int32_t hook_file = -1;

int32_t open_to_write(const char *name)
{
    const int32_t file = hal_open(name, HAL_WRITE);
    if (file < 0)
    {
        hal_exit(HAL_WRITE_FAILED);
    }
    return file;
}

void write_all(int32_t file, const void *data, uint32_t bytes)
{
    if (hal_write(file, data, bytes) != 0)
    {
        hal_exit(HAL_WRITE_FAILED);
    }
}

static void write_interval(uint32_t what, uint32_t first, uint32_t last)
{
    const struct interval interval = {what, first, last};
    write_all(hook_file, &interval, (uint32_t)sizeof interval);
}

#ifdef TQ_TRACE

struct trace_header
{
    uint32_t layer;
    uint32_t bytes;
};

static uint32_t open_layer;
static uint32_t open_first;
static uint32_t is_open;

void tq_trace_begin(uint32_t layer)
{
    if (hook_mode == (uint32_t)MODE_PROFILE)
    {
        const uint32_t last = hal_counter();
        if (is_open != 0U)
        {
            write_interval(open_layer + (uint32_t)STEP, open_first, last);
        }
        is_open = 1U;
        open_layer = layer;
        open_first = hal_counter();
    }
}

void tq_trace_end(uint32_t layer, const void *output, size_t bytes)
{
    if (hook_mode == (uint32_t)MODE_PROFILE)
    {
        const uint32_t last = hal_counter();
        write_interval(layer, open_first, last);
        is_open = 0U;
    }
    tq_trace_output(layer, output, bytes);
}

void tq_trace_output(uint32_t layer, const void *output, size_t bytes)
{
    if (hook_mode == (uint32_t)MODE_TRACE)
    {
        const struct trace_header header = {layer, (uint32_t)bytes};
        write_all(hook_file, &header, (uint32_t)sizeof header);
        write_all(hook_file, output, (uint32_t)bytes);
    }
}

static void calibrate_hooks(void)
{
    tq_trace_begin((uint32_t)EMPTY_LAYER);
    tq_trace_end((uint32_t)EMPTY_LAYER, &hook_mode, 0U);
    tq_trace_begin((uint32_t)EMPTY_STEP - (uint32_t)STEP);
    tq_trace_begin(0U);
    is_open = 0U;
}

static void require_trace(void)
{
}

#else

static void calibrate_hooks(void)
{
}

static void require_trace(void)
{
    hal_exit(HAL_NEEDS_TRACE);
}

#endif

/* Not inlined: the instructions around the loop must be the same for both lengths. */
__attribute__((noinline)) static void calibrate_counter(uint32_t what, uint32_t turns)
{
    const uint32_t first = hal_counter();
    cpu_spin(turns);
    const uint32_t last = hal_counter();
    write_interval(what, first, last);
}

static void calibrate(void)
{
    calibrate_counter((uint32_t)SPIN_SHORT, (uint32_t)SHORT_TURNS);
    calibrate_counter((uint32_t)SPIN_LONG, (uint32_t)LONG_TURNS);
    const uint32_t first = hal_counter();
    const uint32_t last = hal_counter();
    write_interval((uint32_t)EMPTY_MODEL, first, last);
    calibrate_hooks();
}

void hooks_open(uint32_t mode)
{
    hook_mode = mode;
    if (mode == (uint32_t)MODE_TRACE)
    {
        require_trace();
        hook_file = open_to_write("trace.bin");
    }
    else if (mode == (uint32_t)MODE_PROFILE)
    {
        hook_file = open_to_write("profile.bin");
        calibrate();
    }
}

void hooks_reset(void)
{
    tq_model_reset();
}

void hooks_run(const int8_t *inputs, int8_t *outputs)
{
    if (hook_mode == (uint32_t)MODE_PROFILE)
    {
        const uint32_t first = hal_counter();
        tq_model_run(inputs, outputs);
        const uint32_t last = hal_counter();
        write_interval((uint32_t)WHOLE_MODEL, first, last);
    }
    else
    {
        tq_model_run(inputs, outputs);
    }
}

void hooks_close(void)
{
    if (hook_file >= 0)
    {
        hal_close(hook_file);
    }
}
