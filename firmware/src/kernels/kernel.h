/* What every kernel shares. A kernel computes one output row (width, channels) int8 from pointers to its input rows; it is inlined into
 * generated code with a literal shape, so that the compiler folds what the model fixes. */
#ifndef EKWS_KERNEL_H
#define EKWS_KERNEL_H

#include <stdint.h>
#include <string.h>

#if defined(__GNUC__)
#define EKWS_KERNEL static inline __attribute__((always_inline, unused))
#define EKWS_NOINLINE static __attribute__((noinline, unused))
#else
#define EKWS_KERNEL static inline
#define EKWS_NOINLINE static
#endif

/* Pointers to the input pixels of one output: kernel height times width; generated code defines it as the model needs. */
#ifndef EKWS_MAX_TAPS
#define EKWS_MAX_TAPS 128
#endif

/* Every right shift is at least 1, and the model compiler has proved that no accumulator reaches 2^30. */
#define EKWS_SHIFT_RIGHT 1
#define EKWS_SHIFT_ANY 0
/* One rounding in place of two: what LiteRT's FULLY_CONNECTED does. */
#define EKWS_SHIFT_ONCE 2

typedef struct {
  const void *weights;       /* in the layout of the kernel */
  const int32_t *bias;       /* (out_channels) zero point of the input folded in */
  const int32_t *multiplier; /* (out_channels) Q31 */
  const int8_t *shift;       /* (out_channels) to the right; negative: to the left, before multiplying */
} ekws_weights_t;

typedef struct {
  int32_t in_width, in_channels, out_width, out_channels;
  int32_t kernel_height, kernel_width, stride_width, dilation_width, pad_left;
  int32_t in_zero, out_zero, low, high; /* zero points and clamp */
  int32_t multiplies;                   /* depthwise: output channels per input channel; else 0 */
  int32_t shifts;                       /* EKWS_SHIFT_RIGHT, _ANY or _ONCE */
} ekws_conv_shape_t;

/* Whether every sum below 0 comes out as `low`, as after a ReLU. Halves then need not be rounded away from zero: up gives the same bytes. */
EKWS_KERNEL int ekws_rectifies(ekws_conv_shape_t s) { return s.low >= s.out_zero; }

#endif
