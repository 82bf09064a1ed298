// Writes a network as TorchScript: its operators recorded while it runs once, its tensors as parameters and buffers under their own
// names. tch's tracing would bake them in as constants, which `.to(device)` does not move and `state_dict` does not show.
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/frontend/tracer.h>

#include <map>
#include <string>
#include <vector>

#include "guard.h"

using at::Tensor;
using torch::jit::Module;
using torch::jit::Stack;

// Runs the network on `x`, which it frees, and puts tensors that the caller frees into `outputs`. Not 0 when it failed.
typedef int (*Network)(void* context, Tensor* x, Tensor** outputs);

// A module without tensors, for use and not for training; Python asks every module which of the two it is.
static Module empty(const char* name, std::shared_ptr<torch::jit::CompilationUnit> unit) {
  // Each has attributes of its own, so each is a class of its own: the name is made unique.
  Module module(name, std::move(unit), /*shouldMangle=*/true);
  module.register_attribute("training", c10::BoolType::get(), false);
  return module;
}

// The module at `path`, e.g. `stages.0`, made where it is not there yet.
static Module& place(std::map<std::string, Module>& places, const std::string& path) {
  const auto found = places.find(path);
  if (found != places.end()) return found->second;
  const auto dot = path.rfind('.');
  Module& parent = place(places, dot == std::string::npos ? "" : path.substr(0, dot));
  Module part = empty("__torch__.hounsfield.Part", parent._ivalue()->compilation_unit());
  parent.register_module(path.substr(dot == std::string::npos ? 0 : dot + 1), part);
  return places.emplace(path, part).first->second;
}

extern "C" int hf_trace(size_t count, const char* const* names, Tensor* const* tensors, const unsigned char* are_buffers, Tensor* x,
                        Network network, void* context, size_t outputs, const char* const* output_names, const char* extra_name,
                        const char* extra, const char* path) {
  return guard([&]() -> int {
    Module root = empty("__torch__.hounsfield.Encoder", std::make_shared<torch::jit::CompilationUnit>());
    std::map<std::string, Module> places{{"", root}};
    for (size_t i = 0; i < count; i++) {
      const std::string name = names[i];
      const auto dot = name.rfind('.');
      Module& at = place(places, dot == std::string::npos ? "" : name.substr(0, dot));
      at.register_parameter(name.substr(dot == std::string::npos ? 0 : dot + 1), *tensors[i], are_buffers[i] != 0);
    }
    const auto run = [&](const Stack& inputs) -> Stack {
      std::vector<Tensor*> results(outputs, nullptr);
      const int status = network(context, new Tensor(inputs.at(0).toTensor()), results.data());
      c10::Dict<std::string, Tensor> named;
      for (size_t i = 0; i < outputs; i++) {
        if (!results[i]) continue;
        named.insert(output_names[i], *results[i]);
        delete results[i];
      }
      TORCH_CHECK(status == 0 && named.size() == outputs, "the network did not run while it was recorded");
      return {named};
    };
    // Not strict: what leaves is a dictionary, whose keys are always the same.
    const auto traced = torch::jit::tracer::trace({*x}, run, [](const Tensor&) { return std::string(); }, /*strict=*/false,
                                                  /*force_outplace=*/false, &root, {"x"});
    const c10::QualifiedName forward(*root.type()->name(), "forward");
    root.type()->addMethod(root._ivalue()->compilation_unit()->create_function(forward, traced.first->graph));
    root.save(path, {{extra_name, extra}});
    return 0;
  }, -1);
}
