#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "sightglass/inline.hpp"
#include "sightglass/hooks/detail/watch.hpp"
#include "sightglass/model/detail/cut_point.hpp"
#include "sightglass/model/detail/layout.hpp"
#include "sightglass/model/layer_info.hpp"
#include "sightglass/model/model.hpp"
#include "sightglass/trace/observers/axes.hpp"
#include "sightglass/trace/observers/multiply_adds.hpp"
#include "sightglass/trace/scopes.hpp"
#include "sightglass/trace/tensors.hpp"

namespace sightglass::detail {

/// Whether a run counts parameters and multiply-adds.
enum class Costs { ignored, counted };

/// One forward pass in which each layer is noted; listing, suggesting and summing up read it.
class NotingRun {
 public:
  /// A layer, and what only the suggestion asks of it.
  struct Row {
    LayerInfo info;
    std::optional<TensorRef> output;
    Layout layout;
    std::optional<int64_t> ended;  ///< which of all ends its last was; none where it gave no tensor that was seen
  };
  /// Of the whole model; numbers are 0 where costs are ignored.
  struct Totals {
    std::vector<int64_t> output_shape;
    int64_t parameters = 0;
    int64_t trainable = 0;
    int64_t multiply_adds = 0;
    std::vector<std::string> not_counted;
  };

  /// Runs `model` on `input`, without gradients. Throws in training mode.
  NotingRun(const Model& model, const at::Tensor& input, Costs costs);
  NotingRun(const NotingRun&) = delete;
  NotingRun& operator=(const NotingRun&) = delete;

  /// All layers, in the order of registration, each before what stands inside of it.
  const std::vector<Row>& rows() const { return rows_; }
  /// Those that ran and were seen, in the order in which they ended last.
  std::vector<const Row*> as_they_ended() const;
  const Totals& totals() const { return totals_; }

 private:
  /// Notes the calls of one layer.
  class Note final : public Subscriber {
   public:
    Note(NotingRun& run, size_t row, std::optional<std::string> wanted);
    SIGHTGLASS_INLINE at::Tensor enter(size_t /*index*/, const at::Tensor& input, Arrival /*arrival*/) override;
    SIGHTGLASS_INLINE void leave(const std::vector<at::Tensor>& inputs, std::vector<at::Tensor>& outputs) override;
    void miss(const std::string& /*why*/) override { run_.open_.erase(row_); }

   private:
    NotingRun& run_;
    size_t row_;
    std::optional<std::string> wanted_;
  };

  void run(const Model& model, const at::Tensor& input, const std::vector<Layer>& layers, Costs costs);

  /// The layers that what is at `path` stands inside of, the innermost first.
  std::vector<size_t> rows_around(const std::string& path) const;

  void count_parameters(const Model& model);

  void note_call(Row& row, const std::vector<at::Tensor>& inputs, const std::vector<at::Tensor>& outputs,
                 const std::optional<std::string>& wanted);

  /// The work belongs to the layer whose weight it reads, or to the innermost one under way.
  void add(int64_t count, const std::vector<at::Tensor>& operands);

  /// Layers that share a weight: one that is under way, or the first. None where the work is no layer's.
  std::optional<size_t> owner_of(const std::vector<at::Tensor>& operands) const;

  /// The layers that have begun and had not ended before the latest operation.
  std::set<size_t> under_way() const;

  std::vector<Row> rows_;
  std::unordered_map<std::string, size_t> row_of_;  // by name
  Totals totals_;
  int64_t ends_ = 0;
  std::map<const void*, std::set<size_t>> owners_;  // a weight's memory, and whose it is
  const MultiplyAddCounter* counter_ = nullptr;     // null where costs are ignored
  std::set<size_t> open_;
  std::multimap<int64_t, size_t> ended_;  // at which operation
};

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/model/detail/noting_run_inl.hpp"
#endif
