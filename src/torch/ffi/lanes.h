// Vectors of floats, in the manner of GCC and Clang: one register of the build's.
#pragma once
#include <cstdint>

#include "kernels.h"

#define INLINE INLINED static inline
#define UNROLLED _Pragma("GCC unroll 8")

#if defined(__AVX512F__)
constexpr int64_t LANES = 16;
#elif defined(__AVX2__)
constexpr int64_t LANES = 8;
#else
constexpr int64_t LANES = 4;
#endif

typedef float Floats __attribute__((vector_size(4 * LANES)));
typedef int32_t Ints __attribute__((vector_size(4 * LANES)));
typedef uint32_t Words __attribute__((vector_size(4 * LANES)));
typedef uint16_t Halves __attribute__((vector_size(2 * LANES)));
typedef uint8_t Bytes __attribute__((vector_size(LANES)));

INLINE Floats all(float value) { return Floats{} + value; }

template <class V, class T>
INLINE V raw(const T* from) {
  V v;
  __builtin_memcpy(&v, from, sizeof(V));
  return v;
}

INLINE Floats load(const float* from) { return raw<Floats>(from); }

INLINE Floats load(const BFloat16* from) {
  return (Floats)(__builtin_convertvector(raw<Halves>(from), Words) << 16);
}

INLINE void store(float* to, Floats v) { __builtin_memcpy(to, &v, sizeof(v)); }

// To the nearest, ties to even; a NaN stays one.
INLINE void store(BFloat16* to, Floats v) {
  const Words bits = (Words)v;
  const Words rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  const Words nan = (Words)(v != v);
  const Halves h = __builtin_convertvector((rounded & ~nan) | (nan & 0x7fc0), Halves);
  __builtin_memcpy(to, &h, sizeof(h));
}

INLINE float number(float value) { return value; }

INLINE float number(BFloat16 value) {
  const uint32_t bits = uint32_t(value.bits) << 16;
  float f;
  __builtin_memcpy(&f, &bits, sizeof(f));
  return f;
}

INLINE Ints load(const uint8_t* from) { return __builtin_convertvector(raw<Bytes>(from), Ints); }

INLINE void store(uint8_t* to, Ints v) {
  const Bytes b = __builtin_convertvector(v, Bytes);
  __builtin_memcpy(to, &b, sizeof(b));
}

// How many of a vector are there: all of them, as the compiler knows, or those that are left at the end of an axis.
struct Whole {
  static constexpr int64_t count = LANES;
};
struct Rest {
  const int64_t count;
};

// Runs `block(first, how many)` for vector after vector of `size`.
template <class F>
INLINE void each_block(int64_t size, const F& block) {
  int64_t at = 0;
  for (; at + LANES <= size; at += LANES) block(at, Whole{});
  if (at < size) block(at, Rest{size - at});
}

template <class T>
INLINE auto load(const T* from, Whole) {
  return load(from);
}

// The others are zeros.
template <class T>
INLINE auto load(const T* from, Rest rest) {
  T part[LANES] = {};
  for (int64_t i = 0; i < rest.count; i++) part[i] = from[i];
  return load(part);
}

template <class T, class V>
INLINE void store(T* to, V v, Whole) {
  store(to, v);
}

// The others are not written.
template <class T, class V>
INLINE void store(T* to, V v, Rest rest) {
  T part[LANES];
  store(part, v);
  for (int64_t i = 0; i < rest.count; i++) to[i] = part[i];
}
