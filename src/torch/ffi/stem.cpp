// The first level of a network of scans in one: a 3 x 3 x 3 convolution of one channel, batch norm, ReLU and max pooling over 2 x 2 x 2.
// What the convolution gives is the largest tensor of such a network, N x F x D x H x W, and is never made.
//
// With one channel the 27 voxels v under a filter w are few enough to know their second moments, G = sum of v v' over the scans. Then
// the statistics of the batch norm need no pass over the convolution: with S = sum of v the mean is w'S / n and the variance
// w'Gw / n - mean^2. Backward neither: with g the gradient of the windows, a the largest element of each and T = sum of g v(a),
//
//     sum g (w'v(a) - mean)  =  w'T - mean sum g                                    (call it P)
//     d w  =  scale (T - S sum g / n - (G w - mean S) P unit^2 / n)
//
// where unit is one over the standard deviation. So backward is one look at the largest element of each window. All moments are about
// the mean voxel of the batch, which moves the convolution by a constant and changes nothing behind a batch norm. A 28th voxel that is
// always 1 makes S the last column of G, and the sum of g the last element of T.
#include <ATen/Parallel.h>
#include <ATen/autocast_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "guard.h"
#include "norm_pool.h"

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {

// A slab, and what its values lie in: voxels about the centre.
struct Planes {
  const Grid& g;
  std::vector<float> values;
  Slab slab;

  explicit Planes(const Grid& grid) : g(grid) {
    // Vectors are read from a shift of up to two on.
    const int64_t stride = (g.width + MOST_LANES - 1) / MOST_LANES * MOST_LANES + MOST_LANES;
    values.resize(4 * (g.height + 2) * stride + MOST_LANES);
    slab = {values.data(), g.height + 2, stride};
  }

  // Planes 2 `pair` - 1 to 2 `pair` + 2 of a scan, and zeros about the centre around them.
  void fill(const float* scan, int64_t pair, float centre) {
    std::fill(values.begin(), values.end(), -centre);
    for (int64_t z = 0; z < 4; z++) {
      const int64_t from = 2 * pair - 1 + z;
      if (from < 0 || from >= g.depth) continue;
      for (int64_t y = 0; y < g.height; y++) {
        const float* in = scan + (from * g.height + y) * g.width;
        float* out = values.data() + (slab.at(z, y + 1, 1) - slab.values);
        for (int64_t x = 0; x < g.width; x++) out[x] = in[x] - centre;
      }
    }
  }
};

// Filters in the order of `Kernels::windows`, zeros where a vector is not full.
std::vector<float> blocked(const float* w, int64_t filters) {
  const int64_t lanes = kernels().lanes;
  std::vector<float> out((filters + lanes - 1) / lanes * TAPS * lanes);
  for (int64_t f = 0; f < filters; f++)
    for (int64_t k = 0; k < TAPS; k++) out[(f / lanes * TAPS + k) * lanes + f % lanes] = w[f * TAPS + k];
  return out;
}

// Runs `unit(number, its four planes, first window, planes)` for all of them.
template <class F>
void each_slab(const Grid& g, const float* x, float centre, const F& unit) {
  const int64_t pairs = (g.depth + 1) / 2, scan = g.depth * g.height * g.width;
  at::parallel_for(0, g.units(), 1, [&](int64_t begin, int64_t end) {
    Planes planes(g);
    for (int64_t u = begin; u < end; u++) {
      const int64_t n = u / pairs, z = u % pairs;
      planes.fill(x + n * scan, z, centre);
      unit(u, planes.slab, (n * g.d() + z) * g.h() * g.w() * g.channels, std::min<int64_t>(2, g.depth - 2 * z));
    }
  });
}

double mean_of(const float* x, int64_t count) {
  double sum = 0;
  constexpr int64_t some = 4096;
  for (int64_t at = 0; at < count; at += some) {
    float part[MOST_LANES] = {};
    const int64_t end = std::min(at + some, count);
    for (int64_t i = at; i < end; i++) part[i % MOST_LANES] += x[i];
    for (float p : part) sum += p;
  }
  return sum / count;
}

// What forward and backward know of the convolution: moments of its voxels, about `centre`, and of each filter what comes of them.
struct Filters {
  const Grid g;
  const float* w;
  const double* moments;

  double n() const { return double(g.voxels()); }
  double second(int64_t k, int64_t l) const { return moments[std::min(k, l) * MOMENTS + std::max(k, l)]; }
  double sum(int64_t k) const { return second(k, ONE); }

  double mean(int64_t f) const {
    double m = 0;
    for (int64_t k = 0; k < TAPS; k++) m += w[f * TAPS + k] * sum(k);
    return m / n();
  }

  // G w, about the mean: what the convolution has in common with voxel k.
  double common(int64_t f, int64_t k, double mean) const {
    double c = -mean * sum(k);
    for (int64_t l = 0; l < TAPS; l++) c += w[f * TAPS + l] * second(k, l);
    return c;
  }

  double variance(int64_t f, double mean) const {
    double v = 0;
    for (int64_t k = 0; k < TAPS; k++) v += w[f * TAPS + k] * common(f, k, mean);
    return v < 0 ? 0 : v / n();
  }
};

Grid grid(const Tensor& x, const Tensor& w) { return {x.size(0), w.size(0), x.size(2), x.size(3), x.size(4)}; }

struct Stem : torch::autograd::Function<Stem> {
  static variable_list forward(AutogradContext* ctx, const Tensor& x, const Tensor& w, const Tensor& weight, const Tensor& bias,
                               const Tensor& stored_mean, const Tensor& stored_var, bool batch, double epsilon, at::ScalarType dtype) {
    const Grid g = ::grid(x, w);
    const int64_t filters = g.channels;
    const float *in = elements<float>(x), *kernel = elements<float>(w);
    const float centre = batch ? float(mean_of(in, g.voxels())) : 0.0f;
    const std::vector<float> sign = signs(weight), weights = blocked(kernel, filters);
    const Tensor y = at::empty({g.n, filters, g.d(), g.h(), g.w()}, x.options().dtype(dtype), at::MemoryFormat::ChannelsLast3d);
    const Tensor which = at::empty({g.windows() * filters}, x.options().dtype(at::kByte));
    const Tensor extremes = dtype == at::kFloat ? y : at::empty({g.windows() * filters}, x.options());
    const Tensor moments = at::empty({MOMENTS * MOMENTS}, x.options().dtype(at::kDouble));
    float* pooled = elements_to_write<float>(extremes);
    uint8_t* chosen = elements_to_write<uint8_t>(which);
    std::vector<double> parts(batch ? g.units() * MOMENTS * MOMENTS : 0);
    each_slab(g, in, centre, [&](int64_t u, const Slab& slab, int64_t window, int64_t planes) {
      if (batch) kernels().moments(slab, g, planes, parts.data() + u * MOMENTS * MOMENTS);
      if (planes == 2) kernels().windows(slab, g, weights.data(), sign.data(), pooled + window, chosen + window);
    });
    const std::vector<double> sums = total(parts, MOMENTS * MOMENTS);
    std::copy(sums.begin(), sums.end(), elements_to_write<double>(moments));
    Tensor mean = stored_mean, var = stored_var;
    std::vector<float> shifted(elements<float>(mean), elements<float>(mean) + filters);
    if (batch) {
      mean = at::empty({filters}, x.options());
      var = at::empty({filters}, x.options());
      const Filters of{g, kernel, sums.data()};
      for (int64_t f = 0; f < filters; f++) {
        double taps = 0;
        for (int64_t k = 0; k < TAPS; k++) taps += kernel[f * TAPS + k];
        const double about = of.mean(f);
        shifted[f] = float(about);
        elements_to_write<float>(mean)[f] = float(about + centre * taps);
        elements_to_write<float>(var)[f] = float(of.variance(f, about));
      }
    }
    finish(pooled, g, shifted, var, weight, bias, epsilon, y, chosen);
    ctx->save_for_backward({x, w, weight, which, moments, var});
    ctx->saved_data["epsilon"] = epsilon;
    ctx->saved_data["centre"] = double(centre);
    if (!batch) return {y};
    ctx->mark_non_differentiable({mean, var});
    return {y, mean, var};
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    TORCH_CHECK(!at::GradMode::is_enabled(), "the first level has no second derivative");
    if (!grads[0].defined()) return variable_list(9);
    const variable_list saved = ctx->get_saved_variables();
    const Tensor &x = saved[0], &w = saved[1], &weight = saved[2], &which = saved[3], &moments = saved[4], &var = saved[5];
    const Grid g = ::grid(x, w);
    const int64_t filters = g.channels;
    const bool wide = grads[0].scalar_type() == at::kFloat;
    const Tensor grad = grads[0].to(wide ? at::kFloat : at::kBFloat16).contiguous(at::MemoryFormat::ChannelsLast3d);
    std::vector<double> parts(g.units() * filters * MOMENTS);
    const auto look = [&]<class T>(const T* upper) {
      each_slab(g, elements<float>(x), float(ctx->saved_data["centre"].toDouble()),
                [&](int64_t u, const Slab& slab, int64_t window, int64_t planes) {
                  if (planes < 2) return;
                  std::vector<float> scratch(filters * 32);
                  kernels_of(upper).look(slab, g, upper + window, elements<uint8_t>(which) + window, scratch.data(),
                                         parts.data() + u * filters * MOMENTS);
                });
    };
    wide ? look(elements<float>(grad)) : look(elements<BFloat16>(grad));
    const std::vector<double> sums = total(parts, filters * MOMENTS);
    const Tensor d_w = at::empty_like(w), d_weight = at::empty_like(weight), d_bias = at::empty_like(weight);
    const Filters of{g, elements<float>(w), elements<double>(moments)};
    for (int64_t f = 0; f < filters; f++) {
      const double* t = sums.data() + f * MOMENTS;
      const double mean = of.mean(f), total = t[ONE];
      const double unit = 1 / std::sqrt(double(elements<float>(var)[f]) + ctx->saved_data["epsilon"].toDouble());
      const double scale = elements<float>(weight)[f] * unit;
      double products = -mean * total;
      for (int64_t k = 0; k < TAPS; k++) products += of.w[f * TAPS + k] * t[k];
      elements_to_write<float>(d_bias)[f] = float(total);
      elements_to_write<float>(d_weight)[f] = float(products * unit);
      for (int64_t k = 0; k < TAPS; k++) {
        const double shared = total * of.sum(k) + unit * unit * products * of.common(f, k, mean);
        elements_to_write<float>(d_w)[f * TAPS + k] = float(scale * (t[k] - shared / of.n()));
      }
    }
    variable_list d(9);
    d[1] = d_w;
    d[2] = d_weight;
    d[3] = d_bias;
    return d;
  }
};

}  // namespace

// As `norm_relu_pool` of the convolution of x with w. Nothing comes back where the kernels can't do it, or x needs a gradient.
variable_list conv_norm_relu_pool(const Tensor& x, const Tensor& w, const Tensor& weight, const Tensor& bias, const Tensor& mean,
                                  const Tensor& var, bool batch, double epsilon) {
  const bool recording = at::GradMode::is_enabled();
  const bool gradient = recording && (w.requires_grad() || weight.requires_grad() || bias.requires_grad());
  const bool lower = at::autocast::is_autocast_enabled(at::kCPU);
  const at::ScalarType dtype = lower ? at::autocast::get_autocast_dtype(at::kCPU) : at::kFloat;
  const int64_t shape[] = {w.size(0), 1, 3, 3, 3};
  const bool ours = has_windows(x) && x.scalar_type() == at::kFloat && x.size(1) == 1 && w.size(0) > 0 &&
                    !(recording && x.requires_grad()) && w.sizes() == at::IntArrayRef(shape) && w.scalar_type() == at::kFloat && w.is_cpu() &&
                    (dtype == at::kFloat || dtype == at::kBFloat16) && one_a_channel({&weight, &bias, &mean, &var}, w.size(0)) &&
                    (batch || !gradient);
  if (!ours) return {};
  return Stem::apply(x.contiguous(), w.contiguous(), weight, bias, mean, var, batch, epsilon, dtype);
}

extern "C" int hf_conv_norm_relu_pool(Tensor* x, Tensor* w, Tensor* weight, Tensor* bias, Tensor* mean, Tensor* var, int batch,
                                      double epsilon, Tensor** out) {
  return guard([&]() -> int {
    return hand_out(conv_norm_relu_pool(*x, *w, *weight, *bias, *mean, *var, batch != 0, epsilon), out);
  }, -1);
}
