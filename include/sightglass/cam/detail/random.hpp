#pragma once

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <cstdint>

/// Random numbers of a method's own: the same for the same seed, without touching the global generators.
namespace sightglass::detail {

inline at::Tensor uniform(at::IntArrayRef size, uint64_t seed) {
  return at::rand(size, at::make_generator<at::CPUGeneratorImpl>(seed), at::TensorOptions(at::kFloat));
}
inline at::Tensor normal(at::IntArrayRef size, uint64_t seed) {
  return at::randn(size, at::make_generator<at::CPUGeneratorImpl>(seed), at::TensorOptions(at::kFloat));
}

}  // namespace sightglass::detail
