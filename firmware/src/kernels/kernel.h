/* What every kernel is given. */
#ifndef EKWS_KERNEL_H
#define EKWS_KERNEL_H

#include <stdint.h>
#include <string.h>

#define EKWS_KERNEL static inline __attribute__((always_inline, unused))

enum { EKWS_SHIFT_ANY = 0, EKWS_SHIFT_RIGHT = 1 };

typedef struct {
  const void *weights;
  const int32_t *bias;
  const int32_t *multiplier;
  const int8_t *shift;
} ekws_weights_t;

typedef struct {
  int32_t in_width, in_channels, out_width, out_channels;
  int32_t kernel_height, kernel_width, stride_width, dilation_width, pad_left;
  int32_t in_zero, out_zero, low, high;
  int32_t multiplies;
  int32_t shifts;
} ekws_conv_shape_t;

#endif
