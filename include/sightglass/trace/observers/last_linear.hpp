#pragma once

#include <ATen/ATen.h>

#include <optional>
#include <vector>

#include "sightglass/trace/gradient.hpp"

/// The backward pass of one class through a model's last linear layer needs that class's row of the weights, not all of
/// them: for a thousand classes they are megabytes, which is much beside a small network's forward pass.
namespace sightglass::detail {

/// Where a gradient goes on, and what it is there.
struct Onward {
  autograd::Edge edge;
  at::Tensor gradient;
};

/// The gradient of each image's score of its class `classes` `[N]`, in front of the linear layer that made `output`,
/// where one did: the class's row of the weights.
std::optional<Onward> before_last_linear_of_classes(const at::Tensor& output, const at::Tensor& classes);

/// What `gradient` `[N, K]` with respect to `output` becomes in front of the linear layer that made it, where it is
/// that of few classes. Looks at values.
std::optional<Onward> before_last_linear(const at::Tensor& output, const at::Tensor& gradient);

/// What a gradient in front of the last linear layer becomes at `handles`; the graph is kept.
std::vector<at::Tensor> gradients_onward(const Onward& onward, const std::vector<at::Tensor>& handles);

/// Gradients of the sum of `score`, made from `output`, with respect to `handles`; the graph is kept. Undefined for a
/// handle on which the score does not depend. `classes` `[N]` where the score is the output at them, else undefined.
std::vector<at::Tensor> gradients_of(const at::Tensor& score, const at::Tensor& output,
                                     const std::vector<at::Tensor>& handles, const at::Tensor& classes = {});

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/trace/observers/last_linear_inl.hpp"
#endif
