#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "sightglass/model/model.hpp"
#include "sightglass/cam/detail/random.hpp"
#include "sightglass/trace/scopes.hpp"

namespace sightglass {

/// While it lives, parameters of a model can be made random, module by module; when it ends, also by an exception, all
/// have their values back, bit for bit.
///
/// The values are changed where they are, so nobody else may use the model meanwhile: neither another thread nor a copy
/// that shares its parameters. What autograd noted of the parameters stays valid afterwards; therefore a
/// `Model::optimised` does not notice either, and runs on with the values before: take `Model::plain`. Takes as much
/// memory as the parameters do.
class RandomisedParameters {
 public:
  /// Throws for a model without parameters, as a frozen one is.
  explicit RandomisedParameters(const Model& model) {
    uint64_t count = 0;
    for (const auto& [name, value] : model.parameters()) {
      const size_t dot = name.rfind('.');
      const std::string module = dot == std::string::npos ? "" : name.substr(0, dot);
      if (modules_.empty() || modules_.back().name != module) modules_.push_back({module, {}});
      modules_.back().parameters.push_back({value, value.detach().clone(), count++});
    }
    TORCH_CHECK(!modules_.empty(), "model: it has no parameters that could be randomised; a frozen one has none");
  }
  RandomisedParameters(const RandomisedParameters&) = delete;
  RandomisedParameters& operator=(const RandomisedParameters&) = delete;
  ~RandomisedParameters() {
    for (const Module& module : modules_) {
      for (const Parameter& parameter : module.parameters) write(parameter, parameter.before);
    }
  }

  /// The modules that have parameters of their own, in the order of registration.
  size_t size() const { return modules_.size(); }
  /// Empty for the model itself.
  const std::string& name(size_t module) const { return modules_.at(module).name; }

  /// Replaces each parameter of a module by normal numbers of its own mean and deviation, others for each parameter.
  void randomise(size_t module, uint64_t seed) {
    constexpr uint64_t apart = 2'654'435'761;  // the generator takes 32 bits; this spreads neighbouring seeds over them
    for (const Parameter& parameter : modules_.at(module).parameters) {
      const at::Tensor before = parameter.before.to(at::kFloat);
      const at::Tensor random = detail::normal(before.sizes(), seed * apart + parameter.number).to(before.device());
      write(parameter, random * before.std(/*unbiased=*/false) + before.mean());
    }
  }

 private:
  struct Parameter {
    at::Tensor value;
    at::Tensor before;
    uint64_t number;  // in the model
  };
  struct Module {
    std::string name;
    std::vector<Parameter> parameters;
  };

  static void write(const Parameter& parameter, const at::Tensor& values) {
    const detail::LikeThatOf as_it_was_made(parameter.value);
    const detail::NoGraph no_graph;
    parameter.value.variable_data().copy_(values);
  }

  std::vector<Module> modules_;
};

}  // namespace sightglass
