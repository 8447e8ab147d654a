/* The application: runs the model on every input of a job file, knows no model (tq_model.h does).
 *
 * All files lie in the working directory and are little-endian.
 *   inputs.bin   struct job, then count samples of TQ_MODEL_INPUT_BYTES
 *   outputs.bin  count samples of TQ_MODEL_OUTPUT_BYTES
 *   status.bin   uint32: deepest stack use of tq_model_run in bytes, 0 where unknown
 *   trace.bin    MODE_TRACE: per sample and layer {uint32 layer, uint32 bytes}, then the layer's output
 *   profile.bin  MODE_PROFILE: struct interval, see hooks.c
 * Without inputs.bin (a board with no debugger) the model runs once on zeros.
 */
#include <stdint.h>

#include "cpu.h"
#include "hal.h"
#include "hooks.h"
#include "tq_model.h"

#define JOB_MAGIC 0x324A5154U  /* "TQJ2" */
#define STACK_PAINT 0x5AC3E17BU /* no byte repeats: no compiler makes it a memset */

struct job
{
    uint32_t magic;
    uint32_t mode;
    uint32_t count;
    uint32_t input_bytes;
    uint32_t output_bytes;
    uint32_t layers;
    uint32_t reset_every; /* samples after which the model forgets all, 0 for never */
};

static int8_t inputs[TQ_MODEL_INPUT_BYTES] __attribute__((aligned(16)));
static int8_t outputs[TQ_MODEL_OUTPUT_BYTES] __attribute__((aligned(16)));

/* Paint the free stack, run, look how deep the paint is gone. No call may come between the painting and the run. */
__attribute__((noinline)) static uint32_t run_and_measure_stack(void)
{
    volatile uint32_t *const limit = cpu_stack_limit();
    volatile uint32_t *const pointer = cpu_stack_pointer();
    for (volatile uint32_t *word = limit; word < pointer; ++word)
    {
        *word = STACK_PAINT;
    }
    hooks_run(inputs, outputs);
    volatile uint32_t *word = limit;
    while ((word < pointer) && (*word == STACK_PAINT))
    {
        ++word;
    }
    if ((limit != pointer) && (word == limit))
    {
        hal_exit(HAL_STACK_OVERFLOW);
    }
    return (uint32_t)((uintptr_t)pointer - (uintptr_t)word);
}

static void check_job(const struct job *job)
{
    if ((job->magic != JOB_MAGIC) || (job->input_bytes != (uint32_t)TQ_MODEL_INPUT_BYTES) ||
        (job->output_bytes != (uint32_t)TQ_MODEL_OUTPUT_BYTES) || (job->layers != (uint32_t)TQ_MODEL_LAYERS) ||
        (job->mode > (uint32_t)MODE_PROFILE))
    {
        hal_exit(HAL_BAD_JOB);
    }
}

static void read_all(int32_t file, void *data, uint32_t bytes)
{
    if (hal_read(file, data, bytes) != 0)
    {
        hal_exit(HAL_READ_FAILED);
    }
}

static void run_job(int32_t job_file)
{
    struct job job;
    uint32_t stack = 0U;
    read_all(job_file, &job, (uint32_t)sizeof job);
    check_job(&job);
    hooks_open(job.mode);
    const int32_t output_file = open_to_write("outputs.bin");
    uint32_t since_reset = 0U;
    for (uint32_t sample = 0; sample < job.count; ++sample)
    {
        if ((job.reset_every != 0U) && (since_reset == job.reset_every))
        {
            hooks_reset();
            since_reset = 0U;
        }
        ++since_reset;
        read_all(job_file, inputs, (uint32_t)sizeof inputs);
        const uint32_t used = run_and_measure_stack();
        stack = (used > stack) ? used : stack;
        write_all(output_file, outputs, (uint32_t)sizeof outputs);
    }
    const int32_t status_file = open_to_write("status.bin");
    write_all(status_file, &stack, (uint32_t)sizeof stack);
    hal_close(status_file);
    hal_close(output_file);
    hooks_close();
}

int main(void)
{
    hooks_reset();
    const int32_t job_file = hal_open("inputs.bin", HAL_READ);
    if (job_file >= 0)
    {
        run_job(job_file);
        hal_close(job_file);
    }
    else
    {
        (void)run_and_measure_stack();
        hal_print(TQ_MODEL_NAME ": ran once on zeros; no inputs.bin here\n");
    }
    return HAL_DONE;
}
