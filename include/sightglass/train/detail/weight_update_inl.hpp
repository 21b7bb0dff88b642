#pragma once

#include "sightglass/train/detail/weight_update.hpp"

#include <ATen/Parallel.h>

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE at::Tensor squares_of_change(const at::Tensor& now, const at::Tensor& before) {
  const bool plain = now.is_cpu() && now.scalar_type() == at::kFloat && now.is_contiguous() && before.is_contiguous();
  if (!plain) {
    const at::Tensor old = before.to(at::kDouble);
    return at::stack({(now.to(at::kDouble) - old).square().sum(), old.square().sum()});
  }
  const float* const a = now.data_ptr<float>();
  const float* const b = before.data_ptr<float>();
  std::array<double, 2> sums{};
  std::mutex mutex;
  at::parallel_for(0, now.numel(), 65536, [&](int64_t begin, int64_t end) {
    constexpr int64_t lanes = 16;
    constexpr int64_t piece = 1024;
    std::array<double, 2> own{};
    for (int64_t start = begin; start < end; start += piece) {
      const int64_t stop = std::min(end, start + piece);
      std::array<float, lanes> changed{};
      std::array<float, lanes> was{};
      int64_t i = start;
      for (; i + lanes <= stop; i += lanes) {
        for (int64_t lane = 0; lane < lanes; ++lane) {
          const float difference = a[i + lane] - b[i + lane];
          changed[static_cast<size_t>(lane)] += difference * difference;
          was[static_cast<size_t>(lane)] += b[i + lane] * b[i + lane];
        }
      }
      for (; i < stop; ++i) {
        changed[0] += (a[i] - b[i]) * (a[i] - b[i]);
        was[0] += b[i] * b[i];
      }
      for (const float lane : changed) own[0] += lane;
      for (const float lane : was) own[1] += lane;
    }
    const std::lock_guard<std::mutex> lock(mutex);
    sums[0] += own[0];
    sums[1] += own[1];
  });
  return at::tensor({sums[0], sums[1]}, at::kDouble);
}

SIGHTGLASS_INLINE WeightCopies::WeightCopies(std::vector<at::Tensor> parameters) {
  for (at::Tensor& parameter : parameters) {
    if (parameter.is_floating_point()) parameters_.push_back(std::move(parameter));
  }
  copies_.resize(parameters_.size());
}

SIGHTGLASS_INLINE void WeightCopies::take() {
  const NoGraph no_graph;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    if (!parameters_[i].requires_grad()) {
      copies_[i] = at::Tensor();
    } else if (copies_[i].defined() && copies_[i].sizes() == parameters_[i].sizes() &&
               copies_[i].device() == parameters_[i].device()) {
      copies_[i].copy_(parameters_[i]);
    } else {
      copies_[i] = parameters_[i].detach().clone();
    }
  }
}

SIGHTGLASS_INLINE at::Tensor WeightCopies::ratio() const {
  const NoGraph no_graph;
  at::Tensor squares;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    if (!copies_[i].defined()) continue;
    const at::Tensor of_one = squares_of_change(parameters_[i].detach(), copies_[i]);
    squares = squares.defined() ? squares + of_one.to(squares.device()) : of_one;
  }
  return squares.defined() ? (squares[0] / squares[1]).sqrt().to(at::kFloat).view({1}) : at::Tensor();
}

}  // namespace sightglass::detail
