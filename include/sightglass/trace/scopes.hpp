#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/InferenceMode.h>
#include <c10/core/DispatchKeySet.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

/// LibTorch's thread state for the length of a scope, beside `Unwatched` and `Observed` of interceptor.hpp: the other
/// folders name these, and touch none of it themselves.
namespace sightglass::detail {

/// Operations make a graph, whatever scope the caller is in.
class WithGraph {
  c10::InferenceMode off_{false};
  at::AutoGradMode gradients_{true};
};

/// Operations make none until a layer turns gradients on; a graph may begin there, whatever scope the caller is in.
class NoGraphYet {
  c10::InferenceMode off_{false};
  at::AutoGradMode no_gradients_{false};
};

/// Tensors made in it can be saved by autograd.
class Saveable {
  c10::InferenceMode off_{false};
};

/// Tensors are inference tensors, or ordinary ones, as `tensor` is; it can then be written.
class LikeThatOf {
 public:
  explicit LikeThatOf(const at::Tensor& tensor) : inference_(tensor.is_inference()) {}

 private:
  c10::InferenceMode inference_;
};

/// Whether operations make a graph now.
inline bool makes_graph() { return at::GradMode::is_enabled(); }
/// From here to the end of the scope around they do.
inline void make_graph_from_here() { at::GradMode::set_enabled(true); }

/// Operations make no graph.
using NoGraph = at::NoGradGuard;

/// The thread computes in the precision that it is given: maps are float32 under autocast, too, which would have matrix
/// products in 16 bits. For our own sums only; what runs the model runs it as its caller does.
class WithoutAutocast {
  c10::impl::ExcludeDispatchKeyGuard without_{c10::autocast_dispatch_keyset};
};

}  // namespace sightglass::detail
