#pragma once

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sightglass/cam/target.hpp"
#include "sightglass/model/detail/runner.hpp"
#include "sightglass/trace/observers/last_linear.hpp"
#include "sightglass/trace/runnable.hpp"
#include "sightglass/trace/scopes.hpp"

namespace sightglass::detail {

/// What a target finds in a run: its score, with the graph; its class; and, once somebody asked, gradients at all cuts.
struct TargetEvidence {
  Target target;
  at::Tensor score;
  at::Tensor classes;
  std::vector<at::Tensor> gradients;
};

/// A run that is kept open, and what targets found in it; a pass and its cuts share it.
class PassState {
 public:
  PassState(const Model& model, const std::vector<Layer>& layers, const at::Tensor& input, Tail tail);
  PassState(const PassState&) = delete;
  PassState& operator=(const PassState&) = delete;

  Runner& runner() { return runner_; }

  std::shared_ptr<TargetEvidence> evidence_for(const Target& target);

  /// At each cut, one backward pass for all of them.
  const std::vector<at::Tensor>& gradients(TargetEvidence& evidence);

  at::Tensor hessian_times(const TargetEvidence& evidence, size_t cut, const at::Tensor& vector);

  /// Of the target's scores with respect to another input, made from `images` of this one.
  at::Tensor input_gradients(const Target& target, const at::Tensor& input, const at::Tensor& images);

  /// The target as it is for `images` of the input, for a batch made from them.
  Target of_images(const Target& target, const at::Tensor& images) const;

 private:
  /// Says what an exported model lacks, where `differentiate` finds an operation without a derivative.
  template <class Differentiate>
  static auto differentiated(Differentiate&& differentiate) -> decltype(differentiate()) {
    try {
      return differentiate();
    } catch (const std::exception& error) {
      const std::string message = one_line(error.what());
      const size_t at = message.find("derivative for ");
      if (at == std::string::npos) throw;
      TORCH_CHECK(
          false, "model: it was exported for inference only, by an operation that has no derivative (",
          message.substr(at + 15, message.find(' ', at + 15) - at - 15),
          "); export it with gradients on (no torch.no_grad() around torch.jit.trace), or after "
          "torch.backends.mha.set_fastpath_enabled(False); methods without gradients (eigen-cam) work as it is");
    }
  }

  /// The score of a class is a number of the output itself, so that its gradient may be read off the last layer.
  bool is_row_of_output(const Target& target) const;

  Runner runner_;
  std::map<const void*, std::shared_ptr<TargetEvidence>> evidence_;
};

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/cam/detail/pass_state_inl.hpp"
#endif
