// What the two fused levels of a network of scans have in common.
#pragma once
#include <ATen/core/Tensor.h>
#include <c10/util/BFloat16.h>

#include <initializer_list>
#include <vector>

#include "kernels.h"

// Those for this processor.
const Kernels& kernels();

inline const PoolKernels<float>& kernels_of(const float*) { return kernels().wide; }
inline const PoolKernels<BFloat16>& kernels_of(const BFloat16*) { return kernels().half; }

// Elements as the kernels name them.
template <class T>
const T* elements(const at::Tensor& t) {
  return static_cast<const T*>(t.const_data_ptr());
}
template <class T>
T* elements_to_write(const at::Tensor& t) {
  return static_cast<T*>(t.mutable_data_ptr());
}

// The sign of each scale of a batch norm says whether the largest or the smallest x of a window gives its largest y. A scale of zero
// makes all alike, and the first of them is the largest.
std::vector<float> signs(const at::Tensor& weight);

// Runs y = max(0, (pooled - mean) * scale + bias) over all windows, and notes in `which` those that are inactive. `mean` and `var` are
// for each channel what `pooled` is to lose and to be divided by.
void finish(const float* pooled, const Grid& g, const std::vector<float>& mean, const at::Tensor& var, const at::Tensor& weight,
            const at::Tensor& bias, double epsilon, const at::Tensor& y, uint8_t* which);

// Sums of all units, in one order, so that the number of threads does not show.
std::vector<double> total(const std::vector<double>& parts, int64_t each);

// Batch norm, ReLU and max pooling: y, and with the statistics of the batch its mean and biased variance. Backward may write over x when
// it is to `consume` it: whoever made x must not need it, nor show it to others. Nothing comes back where the kernels can't do it: on
// other devices, in other precisions, and for the gradient with stored statistics.
std::vector<at::Tensor> norm_relu_pool(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& mean,
                                       const at::Tensor& var, bool batch, double epsilon, bool consume);

// Whether x are scans [N, C, D, H, W] on the processor in which a window of max pooling fits.
bool has_windows(const at::Tensor& x);

// Whether they are one float for each of `channels`, as the kernels want them.
bool one_a_channel(std::initializer_list<const at::Tensor*> tensors, int64_t channels);

// Tensors on the heap for who called through the C interface; 1 where there are none.
int hand_out(std::vector<at::Tensor> results, at::Tensor** out);
