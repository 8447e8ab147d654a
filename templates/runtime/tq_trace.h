/* tq_trace.h: the hooks around every layer of a generated model. They cost nothing unless TQ_TRACE is defined.
 *
 * TQ_LAYER_BEGIN(i)            before layer i computes its first row
 * TQ_LAYER_END(i, ptr, bytes)  when the whole output of layer i lies at ptr
 * TQ_LAYER_OUTPUT(i, ptr, bytes)  behind it, for every further output of a layer that has several
 */
#ifndef TQ_TRACE_H
#define TQ_TRACE_H

#include <stddef.h>
#include <stdint.h>

#ifdef TQ_TRACE

/* Given by the firmware that traces. */
void tq_trace_begin(uint32_t layer);
void tq_trace_end(uint32_t layer, const void *output, size_t bytes);
void tq_trace_output(uint32_t layer, const void *output, size_t bytes);

#define TQ_LAYER_BEGIN(layer) tq_trace_begin((uint32_t)(layer))
#define TQ_LAYER_END(layer, output, bytes) tq_trace_end((uint32_t)(layer), (output), (size_t)(bytes))
#define TQ_LAYER_OUTPUT(layer, output, bytes) tq_trace_output((uint32_t)(layer), (output), (size_t)(bytes))

#else

#define TQ_LAYER_BEGIN(layer) ((void)0)
#define TQ_LAYER_END(layer, output, bytes) ((void)0)
#define TQ_LAYER_OUTPUT(layer, output, bytes) ((void)0)

#endif

#endif /* TQ_TRACE_H */
