#pragma once

#include "sightglass/cam/detections.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "sightglass/inline.hpp"
#include "sightglass/model/torchvision_operators.hpp"
#include "sightglass/trace/scopes.hpp"

namespace sightglass {

namespace detail {

/// A score before the sigmoid or softmax that made it. Beyond the bounds float32 has no digits left: no gradient there.
SIGHTGLASS_INLINE at::Tensor logit_of(const at::Tensor& probability) {
  return at::logit(probability.to(at::kDouble), 1e-9);
}

/// Boxes `[K, 4]`, labels `[K]`, scores `[K]` of one image, on the CPU, with what tells where each came from.
struct FoundBoxes {
  at::Tensor boxes, labels, scores;
  at::Tensor rows;  ///< number of the box in the output
};

SIGHTGLASS_INLINE at::Tensor corners_of(const at::Tensor& centred) {
  const at::Tensor half = centred.slice(1, 2, 4) / 2, centre = centred.slice(1, 0, 2);
  return at::cat({centre - half, centre + half}, 1);
}

/// Of `[boxes, columns]`.
SIGHTGLASS_INLINE FoundBoxes boxes_in(const at::Tensor& table, BoxLayout layout, int64_t mask_columns) {
  const at::Tensor rows = at::arange(table.size(0), at::kLong);
  if (layout == BoxLayout::suppressed)
    return {table.slice(1, 0, 4), table.select(1, 5).round().to(at::kLong), table.select(1, 4), rows};
  const bool has_objectness = layout == BoxLayout::with_objectness;
  at::Tensor classes = table.slice(1, has_objectness ? 5 : 4, table.size(1) - mask_columns);
  if (has_objectness) classes = classes * table.slice(1, 4, 5);
  const auto [scores, labels] = classes.max(1);
  return {corners_of(table.slice(1, 0, 4)), labels, scores, rows};
}

/// What is left of the candidates, highest score first.
SIGHTGLASS_INLINE FoundBoxes chosen(const FoundBoxes& all, bool suppresses, const DetectionOptions& options) {
  at::Tensor kept = (all.scores >= options.score()).nonzero().flatten();
  kept = kept.index_select(0, std::get<1>(all.scores.index_select(0, kept).sort(true, 0, true)));
  if (suppresses && kept.numel() > 0) {
    // Moved apart by class, so that one class says nothing of another.
    const at::Tensor boxes = all.boxes.index_select(0, kept).to(at::kDouble);
    const at::Tensor apart =
        all.labels.index_select(0, kept).to(at::kDouble).unsqueeze(1) * (boxes.abs().max() * 2 + 1);
    kept = kept.index_select(0, nms(boxes + apart, all.scores.index_select(0, kept), options.overlap()));
  }
  kept = kept.slice(0, 0, options.most());
  const auto of = [&](const at::Tensor& tensor) { return tensor.index_select(0, kept); };
  return {of(all.boxes), of(all.labels), of(all.scores), of(all.rows)};
}

/// `score_of(row, label)` gives the target's function.
template <class ScoreOf>
std::vector<Detection> as_detections(const FoundBoxes& found, const ScoreOf& score_of) {
  const at::Tensor boxes = found.boxes.to(at::kDouble).contiguous();
  std::vector<Detection> all;
  for (int64_t i = 0; i < boxes.size(0); ++i) {
    const double* const box = boxes.data_ptr<double>() + 4 * i;
    const auto label = found.labels[i].item<int64_t>();
    all.push_back({{box[0], box[1], box[2], box[3]},
                   label,
                   found.scores[i].item<double>(),
                   Target(score_of(found.rows[i].item<int64_t>(), label))});
  }
  return all;
}

}  // namespace detail

SIGHTGLASS_INLINE DetectionOptions& DetectionOptions::score(double value) {
  TORCH_CHECK(value >= 0 && value <= 1, "score: got ", value, ", expected 0 to 1");
  score_ = value;
  return *this;
}

SIGHTGLASS_INLINE DetectionOptions& DetectionOptions::overlap(double value) {
  TORCH_CHECK(value >= 0 && value <= 1, "overlap: got ", value, ", expected 0 to 1");
  overlap_ = value;
  return *this;
}

SIGHTGLASS_INLINE DetectionOptions& DetectionOptions::most(int64_t value) {
  TORCH_CHECK(value > 0, "most: got ", value, ", expected 1 or more");
  most_ = value;
  return *this;
}

SIGHTGLASS_INLINE DetectionOptions& DetectionOptions::mask_columns(int64_t value) {
  TORCH_CHECK(value >= 0, "mask_columns: got ", value, ", expected 0 or more");
  mask_columns_ = value;
  return *this;
}

SIGHTGLASS_INLINE std::vector<Detection> detections(const at::Tensor& output, BoxLayout layout, int64_t image,
                                                    const DetectionOptions& options) {
  const detail::NoGraph no_graph;
  const bool in_columns = layout == BoxLayout::class_columns;
  const int64_t before = layout == BoxLayout::class_columns ? 4 : 5;
  const char* const shape = in_columns                             ? "[N, 4 + classes, boxes]"
                            : layout == BoxLayout::with_objectness ? "[N, boxes, 5 + classes]"
                                                                   : "[N, boxes, 6]";
  const int64_t columns = output.dim() == 3 ? output.size(in_columns ? 1 : 2) - options.mask_columns() : 0;
  TORCH_CHECK(layout == BoxLayout::suppressed ? columns == 6 : columns > before, "output: got ", output.sizes(),
              ", expected ", shape, options.mask_columns() > 0 ? ", and columns of masks" : "");
  TORCH_CHECK(image >= 0 && image < output.size(0), "image: got number ", image, ", the batch has ", output.size(0));
  at::Tensor table = output.detach().select(0, image).to(at::kCPU, at::kFloat);
  if (in_columns) table = table.t();
  const auto found = detail::chosen(detail::boxes_in(table.contiguous(), layout, options.mask_columns()),
                                    layout != BoxLayout::suppressed, options);
  return detail::as_detections(found, [&](int64_t row, int64_t label) {
    return [=](const at::Tensor& given) {
      const at::Tensor values = in_columns ? given.select(2, row) : given.select(1, row);  // [N, columns]
      if (layout == BoxLayout::suppressed) return detail::logit_of(values.select(1, 4));
      const at::Tensor own = values.select(1, before + label);
      return detail::logit_of(layout == BoxLayout::with_objectness ? own * values.select(1, 4) : own);
    };
  });
}

SIGHTGLASS_INLINE std::vector<Detection> detections(const at::Tensor& boxes, const at::Tensor& labels,
                                                    const at::Tensor& scores, int64_t image,
                                                    const DetectionOptions& options) {
  const detail::NoGraph no_graph;
  TORCH_CHECK(scores.dim() == 2, "scores: got ", scores.sizes(), ", expected [N, K]");
  TORCH_CHECK(labels.sizes() == scores.sizes(), "labels: got ", labels.sizes(), ", expected the scores' ",
              scores.sizes());
  TORCH_CHECK(
      boxes.dim() == 3 && boxes.size(0) == scores.size(0) && boxes.size(1) == scores.size(1) && boxes.size(2) == 4,
      "boxes: got ", boxes.sizes(), ", expected [N, K, 4] for scores ", scores.sizes());
  TORCH_CHECK(image >= 0 && image < scores.size(0), "image: got number ", image, ", the batch has ", scores.size(0));
  const auto of = [&](const at::Tensor& tensor) { return tensor.detach().select(0, image).to(at::kCPU); };
  const detail::FoundBoxes all{of(boxes), of(labels), of(scores), at::arange(scores.size(1), at::kLong)};
  return detail::as_detections(detail::chosen(all, false, options), [](int64_t row, int64_t /*label*/) {
    return [row](const at::Tensor& given) { return detail::logit_of(given.select(1, row)); };
  });
}

}  // namespace sightglass
