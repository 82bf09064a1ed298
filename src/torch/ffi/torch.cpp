// What tch lacks, behind a C interface: memory format, inference mode, oneDNN's fused and prepacked convolutions, one
// kernel of our own; for training, autocast, preset gradients and fused Adam.
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full.h>
#include <c10/core/InferenceMode.h>
#include <torch/version.h>

#include <algorithm>
#include <string>

#include "guard.h"

using at::Tensor;
using torch::jit::Stack;

thread_local std::string hf_error;

// One clone for each level of vector instructions; the loader picks. Elsewhere the compiler's default is used.
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)
#define VECTORISED __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define VECTORISED
#endif

// y[r, c] = x[r, c] * scale[c] + shift[c], cut at zero when `relu`.
VECTORISED static void scale_shift_rows(const float* x, const float* scale, const float* shift, float* y, int64_t rows,
                                        int64_t channels, bool relu) {
  const float floor = relu ? 0.0f : -__builtin_inff();
  for (int64_t r = 0; r < rows; r++) {
    const float* __restrict__ in = x + r * channels;
    float* __restrict__ out = y + r * channels;
    for (int64_t c = 0; c < channels; c++) {
      const float v = in[c] * scale[c] + shift[c];
      // Not fmaxf: a NaN must stay a NaN, so that broken weights are seen.
      out[c] = v < floor ? floor : v;
    }
  }
}

static void push_geometry(Stack& st, int64_t pad, int64_t stride) {
  torch::jit::push(st, std::vector<int64_t>{pad, pad}, std::vector<int64_t>{stride, stride},
                   std::vector<int64_t>{1, 1}, int64_t{1});
}

static c10::IValue no_scalars() {
  return c10::impl::GenericList(c10::OptionalType::create(c10::NumberType::get()));
}

static c10::IValue optional(Tensor* t) { return t ? c10::IValue(*t) : c10::IValue(); }

// Sets autocast for one kind of device, and sets it back. What was cast is forgotten when the outermost one ends.
struct Autocast {
  const at::DeviceType device;
  const bool enabled;
  const at::ScalarType dtype;

  Autocast(at::DeviceType on, bool enable, at::ScalarType to)
      : device(on), enabled(at::autocast::is_autocast_enabled(on)), dtype(at::autocast::get_autocast_dtype(on)) {
    at::autocast::set_autocast_dtype(device, to);
    at::autocast::set_autocast_enabled(device, enable);
    at::autocast::increment_nesting();
  }

  ~Autocast() {
    if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
    at::autocast::set_autocast_enabled(device, enabled);
    at::autocast::set_autocast_dtype(device, dtype);
  }
};

extern "C" {

const char* hf_last_error() { return hf_error.c_str(); }

// 32-bit floats are 32-bit floats on every device: CUDA's convolutions would otherwise round to 10 bits of mantissa.
int hf_full_float32() {
  return guard([] {
    at::globalContext().setFloat32Precision(at::Float32Backend::CUDA, at::Float32Op::CONV, at::Float32Precision::IEEE);
    at::globalContext().setFloat32Precision(at::Float32Backend::CUDA, at::Float32Op::MATMUL, at::Float32Precision::IEEE);
    return 0;
  }, -1);
}

// The version that the headers, and so the build, belong to.
const char* hf_torch_version() { return TORCH_VERSION; }

Tensor* hf_channels_last(Tensor* t) {
  return guard([&]() -> Tensor* { return new Tensor(t->contiguous(at::MemoryFormat::ChannelsLast)); }, nullptr);
}

int hf_is_channels_last(Tensor* t) {
  return guard([&]() -> int { return t->is_contiguous(at::MemoryFormat::ChannelsLast); }, -1);
}

void* hf_inference_enter() {
  return guard([&]() -> void* { return new c10::InferenceMode(true); }, nullptr);
}

void hf_inference_exit(void* p) {
  guard([&] { delete static_cast<c10::InferenceMode*>(p); return 0; }, -1);
}

// conv(x, w) + b, then ReLU when `relu`. `b` may be null; `w` may be prepacked.
Tensor* hf_conv(Tensor* x, Tensor* w, Tensor* b, int64_t pad, int64_t stride, int relu) {
  return guard([&]() -> Tensor* {
    static auto op = c10::Dispatcher::singleton().findSchemaOrThrow("mkldnn::_convolution_pointwise", "");
    Stack st;
    torch::jit::push(st, *x, *w);
    st.push_back(optional(b));
    push_geometry(st, pad, stride);
    torch::jit::push(st, std::string(relu ? "relu" : "none"));
    st.push_back(no_scalars());
    st.emplace_back(std::string(""));
    op.callBoxed(&st);
    return new Tensor(torch::jit::pop(st).toTensor());
  }, nullptr);
}

// sum += conv(x, w) + b, in place.
int hf_conv_add(Tensor* sum, Tensor* x, Tensor* w, Tensor* b, int64_t pad, int64_t stride) {
  return guard([&]() -> int {
    static auto op = c10::Dispatcher::singleton().findSchemaOrThrow("mkldnn::_convolution_pointwise_", "binary");
    Stack st;
    torch::jit::push(st, *sum, *x, *w);
    st.push_back(optional(b));
    push_geometry(st, pad, stride);
    torch::jit::push(st, std::string("add"), 1.0);
    st.emplace_back(c10::IValue());
    st.push_back(no_scalars());
    st.emplace_back(c10::IValue());
    op.callBoxed(&st);
    return 0;
  }, -1);
}

// The weight in oneDNN's own blocked layout for an input of `size` [N, C, H, W]; other sizes are accepted later.
Tensor* hf_conv_prepack(Tensor* w, int64_t pad, int64_t stride, const int64_t* size) {
  return guard([&]() -> Tensor* {
    static auto op = c10::Dispatcher::singleton().findSchemaOrThrow("mkldnn::_reorder_convolution_weight", "");
    Stack st;
    torch::jit::push(st, *w);
    push_geometry(st, pad, stride);
    st.emplace_back(std::vector<int64_t>(size, size + 4));
    op.callBoxed(&st);
    return new Tensor(torch::jit::pop(st).toTensor());
  }, nullptr);
}

// x * scale + shift a channel, then ReLU when `relu`, in one pass over memory. x: float, CPU, channels-last.
Tensor* hf_scale_shift(Tensor* x, Tensor* scale, Tensor* shift, int relu) {
  return guard([&]() -> Tensor* {
    TORCH_CHECK(x->dim() == 4 && x->scalar_type() == at::kFloat && x->is_cpu() &&
                    x->is_contiguous(at::MemoryFormat::ChannelsLast),
                "hf_scale_shift wants a channels-last float tensor on the CPU");
    const int64_t channels = x->size(1);
    for (Tensor* t : {scale, shift})
      TORCH_CHECK(t->scalar_type() == at::kFloat && t->is_contiguous() && t->numel() == channels,
                  "hf_scale_shift wants one float a channel");
    Tensor y = at::empty_like(*x, x->options(), at::MemoryFormat::ChannelsLast);
    const int64_t rows = channels == 0 ? 0 : x->numel() / channels;
    const float *in = x->const_data_ptr<float>(), *s = scale->const_data_ptr<float>(), *b = shift->const_data_ptr<float>();
    float* out = y.mutable_data_ptr<float>();
    at::parallel_for(0, rows, std::max<int64_t>(1, 32768 / std::max<int64_t>(1, channels)), [&](int64_t begin, int64_t end) {
      scale_shift_rows(in + begin * channels, s, b, out + begin * channels, end - begin, channels, relu != 0);
    });
    return new Tensor(std::move(y));
  }, nullptr);
}

void* hf_autocast_enter(int cuda, int enabled, int bfloat16) {
  return guard([&]() -> void* {
    return new Autocast(cuda ? at::kCUDA : at::kCPU, enabled != 0, bfloat16 ? at::kBFloat16 : at::kHalf);
  }, nullptr);
}

void hf_autocast_exit(void* p) {
  guard([&] { delete static_cast<Autocast*>(p); return 0; }, -1);
}

// Makes `grad` the gradient of the leaf `t`.
int hf_set_grad(Tensor* t, Tensor* grad) {
  return guard([&]() -> int {
    TORCH_CHECK(t->sizes() == grad->sizes() && t->scalar_type() == grad->scalar_type() && t->device() == grad->device(),
                "a gradient has the shape, the precision and the device of its tensor");
    t->mutable_grad() = *grad;
    return 0;
  }, -1);
}

// One step of AdamW, numbered from 1, in one pass over memory. `exp_avg` may be `grad` when beta1 is 0.
int hf_adam(Tensor* values, Tensor* grad, Tensor* exp_avg, Tensor* exp_avg_sq, double step, double lr, double beta1,
            double beta2, double epsilon, double weight_decay) {
  return guard([&]() -> int {
    at::_fused_adamw_({*values}, {*grad}, {*exp_avg}, {*exp_avg_sq}, {},
                      {at::full({}, step, values->options())}, lr, beta1, beta2, weight_decay, epsilon,
                      /*amsgrad=*/false, /*maximize=*/false);
    // The fused kernel does not say that it wrote: a graph of the old values would run backward unnoticed.
    values->unsafeGetTensorImpl()->bump_version();
    return 0;
  }, -1);
}

}  // extern "C"
