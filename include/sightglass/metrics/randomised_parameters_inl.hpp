#pragma once

#include "sightglass/metrics/randomised_parameters.hpp"

#include "sightglass/inline.hpp"

namespace sightglass {

SIGHTGLASS_INLINE RandomisedParameters::RandomisedParameters(const Model& model) {
  uint64_t count = 0;
  for (const auto& [name, value] : model.parameters()) {
    const size_t dot = name.rfind('.');
    const std::string module = dot == std::string::npos ? "" : name.substr(0, dot);
    if (modules_.empty() || modules_.back().name != module) modules_.push_back({module, {}});
    modules_.back().parameters.push_back({value, value.detach().clone(), count++});
  }
  TORCH_CHECK(!modules_.empty(), "model: it has no parameters that could be randomised; a frozen one has none");
}

SIGHTGLASS_INLINE RandomisedParameters::~RandomisedParameters() {
  for (const Module& module : modules_) {
    for (const Parameter& parameter : module.parameters) write(parameter, parameter.before);
  }
}

SIGHTGLASS_INLINE void RandomisedParameters::randomise(size_t module, uint64_t seed) {
  constexpr uint64_t apart = 2'654'435'761;  // the generator takes 32 bits; this spreads neighbouring seeds over them
  for (const Parameter& parameter : modules_.at(module).parameters) {
    const at::Tensor before = parameter.before.to(at::kFloat);
    const at::Tensor random = detail::normal(before.sizes(), seed * apart + parameter.number).to(before.device());
    write(parameter, random * before.std(/*unbiased=*/false) + before.mean());
  }
}

SIGHTGLASS_INLINE void RandomisedParameters::write(const Parameter& parameter, const at::Tensor& values) {
  const detail::LikeThatOf as_it_was_made(parameter.value);
  const detail::NoGraph no_graph;
  parameter.value.variable_data().copy_(values);
}

}  // namespace sightglass
