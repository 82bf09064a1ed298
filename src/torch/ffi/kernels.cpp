// See kernels.h. HF_KERNELS is the name of this build.
#include "lanes.h"

namespace {

// A tile of products has its sums and one of its sides in registers.
constexpr int64_t ROWS = 8, LEFT = 4, RIGHT = LANES < 16 ? 2 : 4;

INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

// The two sums over a unit: of (x - about) and of its square, all channels of the one after all of the other.
template <class T, class L>
INLINE void add_up(const T* x, int64_t positions, int64_t channels, L lanes, Floats about, Floats& sum, Floats& squares) {
  for (int64_t p = 0; p < positions; p++) {
    const Floats v = load(x + p * channels, lanes) - about;
    sum += v;
    squares += v * v;
  }
}

// Adds lanes to numbers of double precision.
template <class L>
INLINE void flush(double* to, Floats v, L lanes) {
  for (int64_t i = 0; i < lanes.count; i++) to[i] += v[i];
}

// Extremes of the windows of two planes, which element they are, and the sums over both planes where `sums` is given.
template <class T, bool SUMS>
INLINE void pool_planes(const T* x, const Grid& g, int64_t planes, const float* sign, const float* about, float* pooled, uint8_t* which,
                        double* sums) {
  const int64_t c = g.channels, row = g.width * c, plane = g.height * row;
  for (int64_t y = 0; y < g.height; y += 2) {
    const bool windows = planes == 2 && y + 1 < g.height;
    each_block(c, [&](int64_t at, auto lanes) INLINED {
      const Floats s = load(sign + at, lanes), about_ = SUMS ? load(about + at, lanes) : Floats{};
      Floats sum{}, squares{};
      int64_t done = 0;
      if (windows) {
        float* out = pooled + y / 2 * g.w() * c + at;
        uint8_t* place = which + y / 2 * g.w() * c + at;
        for (int64_t i = 0; i < g.w(); i++, out += c, place += c) {
          const T* first = x + y * row + 2 * i * c + at;
          Floats best{};
          Ints chosen{};
          UNROLLED for (int j = 0; j < 8; j++) {
            const Floats v = load(first + (j >> 2) * plane + (j >> 1 & 1) * row + (j & 1) * c, lanes);
            if (SUMS) {
              const Floats centred = v - about_;
              sum += centred;
              squares += centred * centred;
            }
            const Floats turned = v * s;
            // As libtorch's: the first of equals, and a NaN before all.
            const Ints better = j == 0 ? Ints{} - 1 : SUMS ? turned > best : (turned > best) | (turned != turned);
            best = better ? turned : best;
            chosen = better ? Ints{} + j : chosen;
          }
          store(out, best * s, lanes);
          store(place, chosen, lanes);
        }
        done = 2 * g.w();
      }
      if (!SUMS) return;
      // What is outside of all windows, where a size is odd.
      for (int64_t z = 0; z < planes; z++)
        for (int64_t dy = 0; dy < 2 && y + dy < g.height; dy++)
          add_up(x + z * plane + (y + dy) * row + done * c + at, g.width - done, c, lanes, about_, sum, squares);
      flush(sums + at, sum, lanes);
      flush(sums + c + at, squares, lanes);
    });
  }
}

template <class T>
void pool_unit(const T* x, const Grid& g, int64_t planes, const float* sign, float* pooled, uint8_t* which) {
  pool_planes<T, false>(x, g, planes, sign, nullptr, pooled, which, nullptr);
}

template <class T>
void pool_and_sum_unit(const T* x, const Grid& g, int64_t planes, const float* sign, const float* about, float* pooled, uint8_t* which,
                       double* sums) {
  pool_planes<T, true>(x, g, planes, sign, about, pooled, which, sums);
}

// The sums of the gradient of the largest elements, and of its product with (x - mean).
template <class T>
void sum_unit(const T* x, const Grid& g, const float* mean, const T* grad, const uint8_t* which, double* sums) {
  const int64_t c = g.channels, row = g.width * c, plane = g.height * row;
  for (int64_t y = 0; y < g.h(); y++) {
    each_block(c, [&](int64_t at, auto lanes) INLINED {
      const Floats mu = load(mean + at, lanes);
      Floats sum{}, products{};
      for (int64_t i = 0; i < g.w(); i++) {
        const int64_t window = (y * g.w() + i) * c + at;
        const Ints chosen = load(which + window, lanes);
        const Floats upper = load(grad + window, lanes);
        const Floats got = chosen == INACTIVE ? Floats{} : upper;
        const T* first = x + 2 * y * row + 2 * i * c + at;
        Floats v{};
          UNROLLED for (int j = 0; j < 8; j++) {
          const Floats here = load(first + (j >> 2) * plane + (j >> 1 & 1) * row + (j & 1) * c, lanes);
          v = chosen == j ? here : v;
        }
        sum += got;
        // An inactive window must not bring in what 0 * inf is.
        products += chosen == INACTIVE ? Floats{} : got * (v - mu);
      }
      flush(sums + at, sum, lanes);
      flush(sums + c + at, products, lanes);
    });
  }
}

template <class T>
void gradient_unit(const T* x, const Grid& g, int64_t planes, const Slopes& slopes, const T* grad, const uint8_t* which, T* dx) {
  const int64_t c = g.channels, row = g.width * c, plane = g.height * row;
  for (int64_t y = 0; y < g.height; y += 2) {
    const bool windows = planes == 2 && y + 1 < g.height;
    each_block(c, [&](int64_t at, auto lanes) INLINED {
      const Floats scale = load(slopes.scale + at, lanes), mean = load(slopes.mean + at, lanes);
      const Floats offset = load(slopes.offset + at, lanes), slope = load(slopes.slope + at, lanes);
      int64_t done = 0;
      if (windows) {
        for (int64_t i = 0; i < g.w(); i++) {
          const int64_t window = (y / 2 * g.w() + i) * c + at;
          const Ints chosen = load(which + window, lanes);
          const Floats passed = load(grad + window, lanes) * scale;
          const int64_t first = y * row + 2 * i * c + at;
          UNROLLED for (int j = 0; j < 8; j++) {
            const int64_t here = first + (j >> 2) * plane + (j >> 1 & 1) * row + (j & 1) * c;
            const Floats rest = -offset - slope * (load(x + here, lanes) - mean);
            store(dx + here, chosen == j ? rest + passed : rest, lanes);
          }
        }
        done = 2 * g.w();
      }
      for (int64_t z = 0; z < planes; z++)
        for (int64_t dy = 0; dy < 2 && y + dy < g.height; dy++)
          for (int64_t i = done; i < g.width; i++) {
            const int64_t here = z * plane + (y + dy) * row + i * c + at;
            store(dx + here, -offset - slope * (load(x + here, lanes) - mean), lanes);
          }
    });
  }
}

template <class T>
void finish_rows(const float* pooled, const Affine& affine, int64_t windows, int64_t c, T* y, uint8_t* which) {
  each_block(c, [&](int64_t at, auto lanes) INLINED {
    const Floats mean = load(affine.mean + at, lanes), scale = load(affine.scale + at, lanes);
    const Floats bias = load(affine.bias + at, lanes);
    for (int64_t i = 0; i < windows; i++) {
      const int64_t here = i * c + at;
      const Floats v = (load(pooled + here, lanes) - mean) * scale + bias;
      // A NaN is not at most zero, and goes on.
      const Ints off = v <= Floats{};
      store(y + here, off ? Floats{} : v, lanes);
      store(which + here, off ? Ints{} + INACTIVE : load(which + here, lanes), lanes);
    }
  });
}

// Where tap k of an element lies, from the first tap of the first element.
INLINE int64_t tap(const Slab& slab, int64_t k) { return (k / 9 * slab.height + k / 3 % 3) * slab.stride + k % 3; }

// The convolution at the windows of a unit, and of each window the extreme and which element it is.
void windows_unit(const Slab& slab, const Grid& g, const float* weights, const float* sign, float* pooled, uint8_t* which) {
  for (int64_t y = 0; y < g.h(); y++)
    each_block(g.channels, [&](int64_t f, auto lanes) INLINED {
      const Floats s = load(sign + f, lanes);
      const float* w = weights + f / LANES * TAPS * LANES;
      for (int64_t x = 0; x < g.w(); x++) {
        const float* first = slab.at(0, 2 * y, 2 * x);
        Floats v[8] = {};
        _Pragma("GCC unroll 27") for (int k = 0; k < TAPS; k++) {
          const Floats filter = load(w + k * LANES);
          const float* here = first + tap(slab, k);
          UNROLLED for (int j = 0; j < 8; j++)
            v[j] += filter * here[((j >> 2) * slab.height + (j >> 1 & 1)) * slab.stride + (j & 1)];
        }
        Floats best = v[0] * s;
        Ints chosen{};
        _Pragma("GCC unroll 8") for (int j = 1; j < 8; j++) {
          const Floats turned = v[j] * s;
          const Ints better = (turned > best) | (turned != turned);
          best = better ? turned : best;
          chosen = better ? Ints{} + j : chosen;
        }
        const int64_t here = (y * g.w() + x) * g.channels + f;
        store(pooled + here, best * s, lanes);
        store(which + here, chosen, lanes);
      }
    });
}

// Adds the products of voxels `i`, `i` + 1 ... and `j`, `j` + 1 ... of the 28 to `moments`, over some rows of a unit.
INLINE void tile(const Slab& slab, const Grid& g, int64_t planes, int64_t begin, int64_t end, int64_t i, int64_t j, double* moments) {
  int64_t left[LEFT], right[RIGHT];
  for (int k = 0; k < LEFT; k++) left[k] = tap(slab, i + k);
  for (int l = 0; l < RIGHT; l++) right[l] = tap(slab, j + l);
  const bool left_one = i + LEFT == MOMENTS, right_one = j + RIGHT == MOMENTS;
  Ints place{};
  for (int lane = 0; lane < LANES; lane++) place[lane] = lane;
  Floats sums[LEFT][RIGHT] = {};
  for (int64_t z = 0; z < planes; z++)
    for (int64_t y = begin; y < end; y++)
      for (int64_t x = 0; x < g.width; x += LANES) {
        const float* first = slab.at(z, y, x);
        const Ints inside = place < int32_t(g.width - x);
        Floats a[LEFT];
        UNROLLED for (int k = 0; k < LEFT; k++) {
          const Floats v = k == LEFT - 1 && left_one ? all(1) : load(first + left[k]);
          a[k] = inside ? v : Floats{};
        }
        UNROLLED for (int l = 0; l < RIGHT; l++) {
          const Floats b = l == RIGHT - 1 && right_one ? all(1) : load(first + right[l]);
          UNROLLED for (int k = 0; k < LEFT; k++) sums[k][l] += a[k] * b;
        }
      }
  for (int k = 0; k < LEFT; k++)
    for (int l = 0; l < RIGHT; l++) {
      double sum = 0;
      for (int lane = 0; lane < LANES; lane++) sum += sums[k][l][lane];
      moments[(i + k) * MOMENTS + j + l] += sum;
    }
}

// The upper half of the 28 x 28 second moments of a unit. A few rows at a time, so that they stay in the nearest cache.
void moments_unit(const Slab& slab, const Grid& g, int64_t planes, double* moments) {
  for (int64_t begin = 0; begin < g.height; begin += ROWS)
    for (int64_t i = 0; i < MOMENTS; i += LEFT)
      for (int64_t j = i; j < MOMENTS; j += RIGHT) tile(slab, g, planes, begin, least(begin + ROWS, g.height), i, j, moments);
}

// T of a unit, `[filters][28]`: the voxels under the largest elements, times the gradient.
template <class T>
void look_unit(const Slab& slab, const Grid& g, const T* grad, const uint8_t* which, float* found, double* sums) {
  constexpr int64_t SOME = 16, WIDTH = 32, VECTORS = WIDTH / LANES;
  alignas(64) float table[SOME][8][WIDTH] = {};
  for (int64_t y = 0; y < g.h(); y++) {
    for (int64_t x = 0; x < g.w(); x += SOME) {
      const int64_t some = least(SOME, g.w() - x);
      for (int64_t i = 0; i < some; i++)
        for (int64_t j = 0; j < 8; j++) {
          // Rows of three, copied as four: what is too much is written over by the next, and by the 1.
          for (int64_t r = 0; r < 9; r++)
            __builtin_memcpy(table[i][j] + 3 * r, slab.at((j >> 2) + r / 3, 2 * y + (j >> 1 & 1) + r % 3, 2 * (x + i) + (j & 1)), 16);
          table[i][j][ONE] = 1;
        }
      const int64_t window = (y * g.w() + x) * g.channels;
      for (int64_t f = 0; f < g.channels; f++) {
        float* to = found + f * WIDTH;
        Floats v[VECTORS];
        UNROLLED for (int k = 0; k < VECTORS; k++) v[k] = load(to + k * LANES);
        for (int64_t i = 0; i < some; i++) {
          const int64_t here = window + i * g.channels + f;
          const int j = which[here];
          const float* voxels = table[i][j & 7];
          const Floats upper = all(j == INACTIVE ? 0.0f : number(grad[here]));
          UNROLLED for (int k = 0; k < VECTORS; k++) v[k] += upper * load(voxels + k * LANES);
        }
        UNROLLED for (int k = 0; k < VECTORS; k++) store(to + k * LANES, v[k]);
      }
    }
    // Long sums of floats lose digits.
    if (y % 4 == 3 || y + 1 == g.h()) {
      for (int64_t f = 0; f < g.channels; f++)
        for (int64_t k = 0; k < MOMENTS; k++) sums[f * MOMENTS + k] += found[f * WIDTH + k];
      for (int64_t i = 0; i < g.channels * WIDTH; i++) found[i] = 0;
    }
  }
}

template <class T>
constexpr PoolKernels<T> pooling() {
  return {pool_unit<T>, pool_and_sum_unit<T>, sum_unit<T>, gradient_unit<T>, finish_rows<T>, look_unit<T>};
}

}  // namespace

extern const Kernels HF_KERNELS;
constexpr Kernels HF_KERNELS = {LANES, pooling<float>(), pooling<BFloat16>(), windows_unit, moments_unit};
