/* tq_math.h: the fixed-point arithmetic of generated code, C99, integers only.
 *
 * Twin of tinyptq/fixedpoint.py, bit for bit: gemmlowp's double rounding of 32 bits, TFLite's single one of 64.
 * The one deliberate deviation from strict C99: `>>` of a negative value must be arithmetic (C99 6.5.7 leaves it to
 * the implementation; every supported compiler does it). Left shifts of signed values go through unsigned.
 */
#ifndef TQ_MATH_H
#define TQ_MATH_H

#include <stdint.h>

#define TQ_MATH_VERSION 1

#if (-1 >> 1) != -1
#error "tq_math.h needs an arithmetic right shift of negative integers"
#endif

/* x limited to [low, high]. */
static inline int32_t tq_clamp(int32_t x, int32_t low, int32_t high)
{
    const int32_t raised = (x < low) ? low : x;
    return (raised > high) ? high : raised;
}

/* x * 2^n modulo 2^32, 0 <= n <= 31. */
static inline int32_t tq_shift_left(int32_t x, int32_t n)
{
    return (int32_t)((uint32_t)x << n);
}

/* a * b * 2 / 2^32, ties towards plus infinity; saturates only when both are INT32_MIN.
 * Source: gemmlowp SaturatingRoundingDoublingHighMul.
 */
#if defined(__ARM_ARCH_6M__) || defined(__ARM_ARCH_8M_BASE__)
/* These cores multiply 32 by 32 bits to 32: a 64-bit product would be a call. Here it is made of 16-bit halves. */
static inline int32_t tq_saturating_rounding_doubling_high_mul(int32_t a, int32_t b)
{
    const int32_t a_low = a & 0xffff;
    const int32_t a_high = a >> 16;
    const int32_t b_low = b & 0xffff;
    const int32_t b_high = b >> 16;
    const uint32_t low = (uint32_t)a_low * (uint32_t)b_low;
    const int32_t cross = a_high * b_low + (int32_t)(low >> 16);
    const int32_t other = a_low * b_high + (cross & 0xffff);
    const int32_t high = a_high * b_high + (cross >> 16) + (other >> 16);
    /* The product is high * 2^32 + middle * 2^16 + 16 bits that cannot matter; half a unit of the result is 2^30. */
    const uint32_t middle = ((uint32_t)other & 0xffffu) + 0x4000u;
    const uint32_t rounded = ((uint32_t)high << 1) + (middle >> 15);
    return ((a == INT32_MIN) && (b == INT32_MIN)) ? INT32_MAX : (int32_t)rounded;
}
#else
static inline int32_t tq_saturating_rounding_doubling_high_mul(int32_t a, int32_t b)
{
    const int64_t rounded = ((int64_t)a * b + ((int64_t)1 << 30)) >> 31;
    return (rounded > INT32_MAX) ? INT32_MAX : (int32_t)rounded;
}
#endif

/* x / 2^n, ties away from zero, 0 <= n <= 31. Source: gemmlowp RoundingDivideByPOT. */
static inline int32_t tq_rounding_divide_by_power_of_two(int32_t x, int32_t n)
{
    const int32_t mask = (int32_t)(((uint32_t)1 << n) - 1u);
    const int32_t threshold = (mask >> 1) + ((x < 0) ? 1 : 0);
    return (x >> n) + (((x & mask) > threshold) ? 1 : 0);
}

/* x * multiplier * 2^(shift - 31) with gemmlowp's two roundings, -31 <= shift <= 31; a positive shift wraps.
 * Source: TFLite MultiplyByQuantizedMultiplier, double rounding.
 */
static inline int32_t tq_multiply_by_quantized_multiplier(int32_t x, int32_t multiplier, int32_t shift)
{
    const int32_t left = (shift > 0) ? shift : 0;
    const int32_t right = (shift > 0) ? 0 : -shift;
    const int32_t high = tq_saturating_rounding_doubling_high_mul(tq_shift_left(x, left), multiplier);
    return tq_rounding_divide_by_power_of_two(high, right);
}

/* x * multiplier / 2^right rounded once, ties up: |x| < 2^47, 0 <= multiplier < 2^15, 1 <= right <= 46; the result must
 * fit 32 bits. Source: TFLite MultiplyByQuantizedMultiplier of 64 bits.
 */
static inline int32_t tq_multiply_by_reduced_multiplier(int64_t x, int32_t multiplier, int32_t right)
{
    return (int32_t)((x * multiplier + ((int64_t)1 << (right - 1))) >> right);
}

#endif /* TQ_MATH_H */
