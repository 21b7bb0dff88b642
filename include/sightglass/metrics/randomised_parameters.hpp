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
  /// Throws `c10::Error` for a model without parameters, as a frozen one is.
  explicit RandomisedParameters(const Model& model);
  RandomisedParameters(const RandomisedParameters&) = delete;
  RandomisedParameters& operator=(const RandomisedParameters&) = delete;
  ~RandomisedParameters();

  /// The modules that have parameters of their own, in the order of registration.
  size_t size() const { return modules_.size(); }
  /// Empty for the model itself.
  const std::string& name(size_t module) const { return modules_.at(module).name; }

  /// Replaces each parameter of a module by normal numbers of its own mean and deviation, others for each parameter.
  void randomise(size_t module, uint64_t seed);

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

  static void write(const Parameter& parameter, const at::Tensor& values);

  std::vector<Module> modules_;
};

}  // namespace sightglass

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/metrics/randomised_parameters_inl.hpp"
#endif
