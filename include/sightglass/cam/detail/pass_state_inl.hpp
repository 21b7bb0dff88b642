#pragma once

#include "sightglass/cam/detail/pass_state.hpp"

#include "sightglass/inline.hpp"
#include "sightglass/cam/detail/weigh.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE PassState::PassState(const Model& model, const std::vector<Layer>& layers, const at::Tensor& input,
                                       Tail tail)
    : runner_(model, layers, input, tail) {}

SIGHTGLASS_INLINE std::shared_ptr<TargetEvidence> PassState::evidence_for(const Target& target) {
  std::shared_ptr<TargetEvidence>& evidence = evidence_[target.id()];
  if (evidence == nullptr) {
    const WithGraph with_graph;
    const at::Tensor& output = runner_.output();
    evidence =
        std::make_shared<TargetEvidence>(TargetEvidence{target, target.scores(output), target.classes(output), {}});
  }
  return evidence;
}

SIGHTGLASS_INLINE const std::vector<at::Tensor>& PassState::gradients(TargetEvidence& evidence) {
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
    found[i] = found[i].defined() ? found[i].detach().to(dtype) : at::zeros_like(activations, at::TensorOptions(dtype));
  }
  evidence.gradients = std::move(found);
  return evidence.gradients;
}

SIGHTGLASS_INLINE at::Tensor PassState::hessian_times(const TargetEvidence& evidence, size_t cut,
                                                      const at::Tensor& vector) {
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

SIGHTGLASS_INLINE at::Tensor PassState::input_gradients(const Target& target, const at::Tensor& input,
                                                        const at::Tensor& images) {
  const WithGraph with_graph;
  const at::Tensor leaf = input.detach().to(runner_.input().dtype()).clone().requires_grad_();
  const at::Tensor output = forward_for_gradients(runner_.model(), leaf);
  const at::Tensor score = of_images(target, images).scores(output);
  return differentiated([&] { return torch::autograd::grad({score.sum()}, {leaf}).front(); });
}

SIGHTGLASS_INLINE Target PassState::of_images(const Target& target, const at::Tensor& images) const {
  return target.of(runner_.output().detach(), images);
}

SIGHTGLASS_INLINE bool PassState::is_row_of_output(const Target& target) const {
  return target.is_output_at_class() && runner_.output().dim() == 2;
}

}  // namespace sightglass::detail
