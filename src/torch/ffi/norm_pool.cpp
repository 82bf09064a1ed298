// Batch norm, ReLU and max pooling over 2 x 2 x 2 in one: a network of scans spends most of its memory and half of its time there.
//
// The scale of a batch norm has one sign a channel, so that the largest y of a window is that of its largest x (the smallest where the
// sign is negative): y = relu((pool(x) - mean) * scale + bias). Nothing of x's size but x itself is made on the way, and kept are x
// and one byte a window. Backward is one pass for two sums and one for the gradient.
#include "norm_pool.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>

#include "guard.h"

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr auto CHANNELS_LAST = at::MemoryFormat::ChannelsLast3d;

namespace {

// Runs `unit(number, first element of x, first window, planes)` for all of them.
template <class F>
void each_unit(const Grid& g, const F& unit) {
  const int64_t halves = (g.depth + 1) / 2, plane = g.height * g.width * g.channels;
  at::parallel_for(0, g.units(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t u = begin; u < end; u++) {
      const int64_t n = u / halves, z = u % halves;
      unit(u, (n * g.depth + 2 * z) * plane, (n * g.d() + z) * g.h() * g.w() * g.channels, std::min<int64_t>(2, g.depth - 2 * z));
    }
  });
}

struct Pooled {
  Tensor y, which, mean, var;
};

template <class T>
Pooled forward(const Tensor& x, const Grid& g, const Tensor& weight, const Tensor& bias, const Tensor& mean, const Tensor& var, bool batch,
               double epsilon) {
  const int64_t c = g.channels;
  const T* in = elements<T>(x);
  const auto& run = kernels_of(in);
  const std::vector<float> sign = signs(weight);
  Pooled out;
  out.y = at::empty({g.n, c, g.d(), g.h(), g.w()}, x.options(), CHANNELS_LAST);
  out.which = at::empty({g.windows() * c}, x.options().dtype(at::kByte));
  const Tensor extremes = std::is_same_v<T, float> ? out.y : at::empty({g.windows() * c}, x.options().dtype(at::kFloat));
  float* pooled = elements_to_write<float>(extremes);
  uint8_t* which = elements_to_write<uint8_t>(out.which);
  if (batch) {
    // About some value of the channel, so that the squares of a large mean do not drown a small variance.
    std::vector<float> about(c);
    // From the middle: the corner is what padding with zeros makes odd.
    Tensor middle = x.detach().select(0, 0);
    while (middle.dim() > 1) middle = middle.select(1, middle.size(1) / 2);
    const Tensor first = middle.to(at::kFloat).contiguous();
    for (int64_t i = 0; i < c; i++) about[i] = std::isfinite(elements<float>(first)[i]) ? elements<float>(first)[i] : 0.0f;
    std::vector<double> parts(g.units() * 2 * c);
    each_unit(g, [&](int64_t u, int64_t at, int64_t window, int64_t planes) {
      run.pool_and_sum(in + at, g, planes, sign.data(), about.data(), pooled + window, which + window, parts.data() + u * 2 * c);
    });
    const std::vector<double> sums = total(parts, 2 * c);
    out.mean = at::empty({c}, weight.options());
    out.var = at::empty({c}, weight.options());
    for (int64_t i = 0; i < c; i++) {
      const double n = double(g.voxels()), shift = sums[i] / n, variance = sums[c + i] / n - shift * shift;
      elements_to_write<float>(out.mean)[i] = float(about[i] + shift);
      elements_to_write<float>(out.var)[i] = float(variance < 0 ? 0 : variance);
    }
  } else {
    out.mean = mean;
    out.var = var;
    each_unit(g, [&](int64_t, int64_t at, int64_t window, int64_t planes) {
      run.pool(in + at, g, planes, sign.data(), pooled + window, which + window);
    });
  }
  const float* of_channels = elements<float>(out.mean);
  finish(pooled, g, {of_channels, of_channels + c}, out.var, weight, bias, epsilon, out.y, which);
  return out;
}

template <class T>
variable_list backward(const Tensor& x, const Grid& g, const Tensor& which_, const Tensor& weight, const Tensor& mean, const Tensor& var,
                       double epsilon, const Tensor& grad_, bool consume) {
  const int64_t c = g.channels;
  const Tensor grad = grad_.to(x.scalar_type()).contiguous(CHANNELS_LAST);
  const T *in = elements<T>(x), *upper = elements<T>(grad);
  const auto& run = kernels_of(in);
  const uint8_t* which = elements<uint8_t>(which_);
  const float* mu = elements<float>(mean);
  std::vector<double> parts(g.units() * 2 * c);
  each_unit(g, [&](int64_t u, int64_t at, int64_t window, int64_t planes) {
    if (planes == 2) run.sum(in + at, g, mu, upper + window, which + window, parts.data() + u * 2 * c);
  });
  const std::vector<double> sums = total(parts, 2 * c);
  const Tensor d_weight = at::empty({c}, weight.options()), d_bias = at::empty({c}, weight.options());
  std::vector<float> scales(c), offsets(c), slopes(c);
  for (int64_t i = 0; i < c; i++) {
    const double unit = 1 / std::sqrt(double(elements<float>(var)[i]) + epsilon), n = double(g.voxels());
    const double scale = elements<float>(weight)[i] * unit;
    elements_to_write<float>(d_weight)[i] = float(sums[c + i] * unit);
    elements_to_write<float>(d_bias)[i] = float(sums[i]);
    scales[i] = float(scale);
    offsets[i] = float(scale * sums[i] / n);
    slopes[i] = float(scale * unit * unit * sums[c + i] / n);
  }
  const Tensor dx = consume ? x.detach() : at::empty_like(x);
  T* out = elements_to_write<T>(dx);
  each_unit(g, [&](int64_t, int64_t at, int64_t window, int64_t planes) {
    run.gradient(in + at, g, planes, {mu, scales.data(), offsets.data(), slopes.data()}, upper + window, which + window, out + at);
  });
  // Who runs backward a second time is told that x is gone.
  if (consume) x.unsafeGetTensorImpl()->bump_version();
  return {dx, d_weight, d_bias};
}

Grid grid(const Tensor& x) { return {x.size(0), x.size(1), x.size(2), x.size(3), x.size(4)}; }

struct NormReluPool : torch::autograd::Function<NormReluPool> {
  static variable_list forward(AutogradContext* ctx, const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& mean,
                               const Tensor& var, bool batch, double epsilon, bool consume) {
    const Grid g = grid(x);
    const Pooled out = x.scalar_type() == at::kFloat ? ::forward<float>(x, g, weight, bias, mean, var, batch, epsilon)
                                                     : ::forward<BFloat16>(x, g, weight, bias, mean, var, batch, epsilon);
    ctx->save_for_backward({x, out.which, weight, out.mean, out.var});
    ctx->saved_data["epsilon"] = epsilon;
    ctx->saved_data["consume"] = consume;
    if (!batch) return {out.y};
    ctx->mark_non_differentiable({out.mean, out.var});
    return {out.y, out.mean, out.var};
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    TORCH_CHECK(!at::GradMode::is_enabled(), "norm_relu_pool has no second derivative");
    const variable_list saved = ctx->get_saved_variables();
    const Tensor& x = saved[0];
    if (!grads[0].defined()) return variable_list(8);
    const bool consume = ctx->saved_data["consume"].toBool();
    const double epsilon = ctx->saved_data["epsilon"].toDouble();
    variable_list d = x.scalar_type() == at::kFloat
        ? ::backward<float>(x, grid(x), saved[1], saved[2], saved[3], saved[4], epsilon, grads[0], consume)
        : ::backward<BFloat16>(x, grid(x), saved[1], saved[2], saved[3], saved[4], epsilon, grads[0], consume);
    d.resize(8);
    return d;
  }
};

}  // namespace

const Kernels& kernels() {
#ifdef HF_LEVELS
  static const Kernels& best = []() -> const Kernels& {
    __builtin_cpu_init();
    const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
    const bool v4 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
                    __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    return v3 && v4 ? hf_kernels_v4 : v3 ? hf_kernels_v3 : hf_kernels_base;
  }();
  return best;
#else
  return hf_kernels_base;
#endif
}

std::vector<float> signs(const Tensor& weight) {
  std::vector<float> out;
  for (int64_t i = 0; i < weight.numel(); i++) {
    const float w = elements<float>(weight)[i];
    // A NaN stays one.
    out.push_back(w > 0 ? 1.0f : w < 0 ? -1.0f : w);
  }
  return out;
}

std::vector<double> total(const std::vector<double>& parts, int64_t each) {
  std::vector<double> sums(each);
  for (size_t i = 0; i < parts.size(); i++) sums[i % each] += parts[i];
  return sums;
}

void finish(const float* pooled, const Grid& g, const std::vector<float>& mean, const Tensor& var, const Tensor& weight, const Tensor& bias,
            double epsilon, const Tensor& y, uint8_t* which) {
  const int64_t c = g.channels;
  std::vector<float> scale(c);
  for (int64_t i = 0; i < c; i++) scale[i] = float(elements<float>(weight)[i] / std::sqrt(double(elements<float>(var)[i]) + epsilon));
  const Affine affine{mean.data(), scale.data(), elements<float>(bias)};
  const auto run = [&]<class T>(T* out) {
    at::parallel_for(0, g.windows(), std::max<int64_t>(1, 32768 / c), [&](int64_t begin, int64_t end) {
      kernels_of(out).finish(pooled + begin * c, affine, end - begin, c, out + begin * c, which + begin * c);
    });
  };
  y.scalar_type() == at::kFloat ? run(elements_to_write<float>(y)) : run(elements_to_write<BFloat16>(y));
}

bool one_a_channel(std::initializer_list<const Tensor*> tensors, int64_t channels) {
  for (const Tensor* t : tensors)
    if (t->scalar_type() != at::kFloat || !t->is_contiguous() || !t->is_cpu() || t->numel() != channels) return false;
  return true;
}

bool has_windows(const Tensor& x) {
  return x.is_cpu() && x.dim() == 5 && x.numel() > 0 && x.size(2) >= 2 && x.size(3) >= 2 && x.size(4) >= 2;
}

variable_list norm_relu_pool(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& mean, const Tensor& var, bool batch,
                             double epsilon, bool consume) {
  const bool gradient = at::GradMode::is_enabled() && (x.requires_grad() || weight.requires_grad() || bias.requires_grad());
  const bool ours = has_windows(x) && (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16) &&
                    one_a_channel({&weight, &bias, &mean, &var}, x.size(1)) && (batch || !gradient);
  if (!ours) return {};
  // A copy is nobody's but ours.
  const Tensor last = x.contiguous(CHANNELS_LAST);
  return NormReluPool::apply(last, weight, bias, mean, var, batch, epsilon, consume || !last.is_same(x));
}

int hand_out(variable_list results, Tensor** out) {
  if (results.empty()) return 1;
  for (size_t i = 0; i < results.size(); i++) out[i] = new Tensor(std::move(results[i]));
  return 0;
}

extern "C" int hf_norm_relu_pool(Tensor* x, Tensor* weight, Tensor* bias, Tensor* mean, Tensor* var, int batch, double epsilon, int consume,
                                 Tensor** out) {
  return guard([&]() -> int {
    return hand_out(norm_relu_pool(*x, *weight, *bias, *mean, *var, batch != 0, epsilon, consume != 0), out);
  }, -1);
}
