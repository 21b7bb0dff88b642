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

/// The dtype in which maps are computed.
inline at::ScalarType map_dtype(const at::Tensor& tensor) {
  return tensor.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

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
  PassState(const Model& model, const std::vector<Layer>& layers, const at::Tensor& input, Tail tail)
      : runner_(model, layers, input, tail) {}
  PassState(const PassState&) = delete;
  PassState& operator=(const PassState&) = delete;

  Runner& runner() { return runner_; }

  std::shared_ptr<TargetEvidence> evidence_for(const Target& target) {
    std::shared_ptr<TargetEvidence>& evidence = evidence_[target.id()];
    if (evidence == nullptr) {
      const WithGraph with_graph;
      const at::Tensor& output = runner_.output();
      evidence =
          std::make_shared<TargetEvidence>(TargetEvidence{target, target.scores(output), target.classes(output), {}});
    }
    return evidence;
  }

  /// At each cut, one backward pass for all of them.
  const std::vector<at::Tensor>& gradients(TargetEvidence& evidence) {
    if (!evidence.gradients.empty()) return evidence.gradients;
    TORCH_CHECK(evidence.score.requires_grad(), "target: its score has no gradient with respect to layer \"",
                runner_.cut(0).name(),
                "\": the model (or the target function) works without gradients after it, by a "
                "NoGradGuard, detach() or integers");
    const WithGraph with_graph;
    std::vector<at::Tensor> handles;
    for (size_t i = 0; i < runner_.cuts(); ++i) handles.push_back(runner_.cut(i).handle());
    std::vector<at::Tensor> found = differentiated([&] {
      return gradients_of(evidence.score, runner_.output(), handles,
                          is_row_of_output(evidence.target) ? evidence.classes : at::Tensor());
    });
    for (size_t i = 0; i < found.size(); ++i) {
      const at::Tensor& activations = runner_.cut(i).activations();
      const auto dtype = map_dtype(activations);
      found[i] =
          found[i].defined() ? found[i].detach().to(dtype) : at::zeros_like(activations, at::TensorOptions(dtype));
    }
    evidence.gradients = std::move(found);
    return evidence.gradients;
  }

  at::Tensor hessian_times(const TargetEvidence& evidence, size_t cut, const at::Tensor& vector) {
    const WithGraph with_graph;
    const at::Tensor& handle = runner_.cut(cut).handle();
    const at::Tensor first = torch::autograd::grad({evidence.score.sum()}, {handle}, {}, /*retain_graph=*/true,
                                                   /*create_graph=*/true, /*allow_unused=*/true)
                                 .front();
    at::Tensor second;
    if (first.defined() && first.requires_grad()) {
      second = torch::autograd::grad({(first * vector.to(first.dtype())).sum()}, {handle}, {}, /*retain_graph=*/true,
                                     /*create_graph=*/false, /*allow_unused=*/true)
                   .front();
    }
    return second.defined() ? second.detach().to(vector.dtype()) : at::zeros_like(vector);
  }

  /// Of the target's scores with respect to another input, made from `images` of this one.
  at::Tensor input_gradients(const Target& target, const at::Tensor& input, const at::Tensor& images) {
    const WithGraph with_graph;
    const at::Tensor leaf = input.detach().to(runner_.input().dtype()).clone().requires_grad_();
    const at::Tensor output = forward_for_gradients(runner_.model(), leaf);
    const at::Tensor score = of_images(target, images).scores(output);
    return differentiated([&] { return torch::autograd::grad({score.sum()}, {leaf}).front(); });
  }

  /// The target as it is for `images` of the input, for a batch made from them.
  Target of_images(const Target& target, const at::Tensor& images) const {
    return target.of(runner_.output().detach(), images);
  }

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
  bool is_row_of_output(const Target& target) const {
    return target.is_output_at_class() && runner_.output().dim() == 2;
  }

  Runner runner_;
  std::map<const void*, std::shared_ptr<TargetEvidence>> evidence_;
};

}  // namespace sightglass::detail
