// The loops over voxels behind `norm_pool.cpp` and `stem.cpp`. They are built once for each level of vector instructions, know nothing
// of libtorch and take nothing of the standard library: what two builds have in common, the linker would take from either.
#pragma once
#include <cstdint>

#define INLINED __attribute__((always_inline))

// Floats in the longest vector of any build.
constexpr int64_t MOST_LANES = 16;
// No element of a window is the largest: ReLU gave a zero, and passes no gradient on.
constexpr int32_t INACTIVE = 8;
// The voxels under a 3 x 3 x 3 filter, and a 28th that is always 1.
constexpr int64_t TAPS = 27, ONE = 27, MOMENTS = 28;

struct BFloat16 {
  uint16_t bits;
};

// Axes of a batch of scans. Max pooling leaves d x h x w of them. Channels are innermost in memory.
struct Grid {
  int64_t n, channels, depth, height, width;

  INLINED int64_t d() const { return depth / 2; }
  INLINED int64_t h() const { return height / 2; }
  INLINED int64_t w() const { return width / 2; }
  INLINED int64_t windows() const { return n * d() * h() * w(); }
  INLINED int64_t voxels() const { return n * depth * height * width; }
  // Two planes of one scan are a unit of work; where their number is odd the last has one, and no windows.
  INLINED int64_t units() const { return n * ((depth + 1) / 2); }
};

// For each channel y = max(0, (x - mean) * scale + bias).
struct Affine {
  const float *mean, *scale, *bias;
};

// For each channel dx = [the largest] grad * scale - offset - slope * (x - mean).
struct Slopes {
  const float *mean, *scale, *offset, *slope;
};

// Four planes of a scan of one channel: the two of a unit, and one before and after. Around each is a rim of one voxel.
struct Slab {
  const float* values;
  int64_t height, stride;

  INLINED const float* at(int64_t z, int64_t y, int64_t x) const { return values + (z * height + y) * stride + x; }
};

// For scans of one precision. All take the elements and windows of one unit, but `finish`.
template <class T>
struct PoolKernels {
  // Extremes of the windows, and which element they are: the largest, or the smallest where the sign is negative.
  void (*pool)(const T* x, const Grid& g, int64_t planes, const float* sign, float* pooled, uint8_t* which);
  // The same; adds the sums of (x - about), then those of its square, to `sums` `[2, channels]`.
  void (*pool_and_sum)(const T* x, const Grid& g, int64_t planes, const float* sign, const float* about, float* pooled, uint8_t* which,
                       double* sums);
  // Adds the sums of the gradient that is passed on, then those of its product with (x - mean), to `sums` `[2, channels]`.
  void (*sum)(const T* x, const Grid& g, const float* mean, const T* grad, const uint8_t* which, double* sums);
  // The gradient of x; `dx` may be `x`.
  void (*gradient)(const T* x, const Grid& g, int64_t planes, const Slopes& slopes, const T* grad, const uint8_t* which, T* dx);
  // y of extremes, and which windows are inactive. All `[windows, channels]`; `y` may be `pooled`.
  void (*finish)(const float* pooled, const Affine& affine, int64_t windows, int64_t channels, T* y, uint8_t* which);
  // Adds the 28 voxels under the largest elements, times the gradient, to `sums` `[channels, 28]`. `scratch`: `[channels, 32]`, zeros,
  // and zeros again afterwards.
  void (*look)(const Slab& slab, const Grid& g, const T* grad, const uint8_t* which, float* scratch, double* sums);
};

struct Kernels {
  // Floats in a vector.
  int64_t lanes;
  PoolKernels<float> wide;
  PoolKernels<BFloat16> half;
  // `pool` of the convolution of a slab. `weights` are as many filters as a vector has lanes at a time, `[blocks, 27, lanes]`.
  void (*windows)(const Slab& slab, const Grid& g, const float* weights, const float* sign, float* pooled, uint8_t* which);
  // Adds the upper half of the second moments of a unit to `moments` `[28, 28]`.
  void (*moments)(const Slab& slab, const Grid& g, int64_t planes, double* moments);
};

// AVX-512, AVX2, and what every processor has.
extern const Kernels hf_kernels_v4, hf_kernels_v3, hf_kernels_base;
