#pragma once

#include <torch/torch.h>

#include "support/harness/catch.hpp"

/// A model twice, on the CPU and on a GPU. In float64, where the two devices differ by rounding alone.
namespace support {

template <class Net>
struct OnBoth {
  Net cpu, gpu;
};

template <class Net>
OnBoth<Net> on_both() {
  const auto make = [] {
    torch::manual_seed(1);
    return Net();
  };
  OnBoth<Net> nets{make(), make()};
  nets.cpu->to(torch::kDouble);
  nets.gpu->to(torch::kDouble);
  nets.gpu->to(torch::kCUDA);
  return nets;
}

template <class Net>
OnBoth<Net> evaluated_on_both() {
  OnBoth<Net> nets = on_both<Net>();
  nets.cpu->eval();
  nets.gpu->eval();
  return nets;
}

/// Whether `gpu`, which must be there, has the values of `cpu`.
inline bool same_on_gpu(const at::Tensor& gpu, const at::Tensor& cpu, double tolerance = 1e-6) {
  return gpu.is_cuda() && torch::allclose(gpu.cpu(), cpu, tolerance, 1e-9, /*equal_nan=*/true);
}

}  // namespace support

#define NEEDS_GPU \
  if (!torch::cuda::is_available()) SKIPPED("no CUDA device, or a LibTorch without CUDA")
