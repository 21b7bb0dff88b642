#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "sightglass/model/detail/cut_point.hpp"
#include "sightglass/model/detail/layout.hpp"
#include "sightglass/model/detail/splits.hpp"
#include "sightglass/model/model.hpp"
#include "sightglass/trace/elision.hpp"
#include "sightglass/trace/scopes.hpp"
#include "sightglass/trace/script/traced.hpp"
#include "sightglass/trace/tensors.hpp"

namespace sightglass::detail {

/// The output of a run of the model in which `layer` gives a copy of `activations` at its call number `call`, from 0.
/// Nobody else is told of it.
at::Tensor forward_with(const Model& model, const at::Tensor& input, const Layer& layer, const at::Tensor& activations,
                        size_t call = 0);

/// The model's output where gradients are wanted. Where it throws as autograd cannot use the model, the error says so.
at::Tensor forward_for_gradients(const Model& model, const at::Tensor& input);

/// Runs a model: whole, or what lies behind a layer (its tail); as it is, or in the form that `Model::optimised` asks
/// for, once such a form is made and found right.
///
/// A cut is the place, a layer at which a run is kept open: there the graph begins, and there other activations can be
/// put in.
class Runner {
 public:
  /// Nothing runs yet. `layers`: where the model is cut; none for whole runs only.
  explicit Runner(const Model& model, const std::vector<Layer>& layers = {});

  /// Runs the model on `input` `[N, ...]`, and keeps the run open at `layers`. With `Tail::again` tails can be run
  /// without what lies before them; else the first tail costs a run more.
  Runner(const Model& model, const std::vector<Layer>& layers, const at::Tensor& input, Tail tail);

  const Model& model() const { return model_; }
  const std::vector<Layer>& layers() const { return layers_; }

  /// The model's output for an `input` that is not kept, without gradients.
  at::Tensor forward(const at::Tensor& input) const;

  /// What the model is split into for `input`; null where it is not optimised, or not yet.
  std::shared_ptr<const Split> split_for(const at::Tensor& input) const;

  // ---- Of the run that is kept.
  const at::Tensor& input() const { return input_; }
  /// With the graph from the first cut on.
  const at::Tensor& output() const { return output_; }
  size_t cuts() const { return points_.size(); }
  const CutPoint& cut(size_t number) const { return *points_.at(number); }
  /// How a layer's output is seen as maps; null where nobody has seen it run.
  const std::shared_ptr<const Layout>& layout(size_t cut) const { return layouts_.at(cut); }

  /// The model's output when the layer at a cut gives `activations`, for rows `images` of the input.
  at::Tensor tail(size_t cut, const at::Tensor& activations, const at::Tensor& images);

  /// Whether a tail costs no more than itself; else the model is run in full. Told once, by a run on another batch size
  /// than the kept one.
  bool elided(size_t cut);

 private:
  using Points = std::vector<std::shared_ptr<CutPoint>>;
  enum class Elides { unknown, yes, no };

  Points new_points() const;

  // ---- Whole.
  /// `points` stand at their layers.
  std::vector<Watch> watches_of(const Points& points) const;

  void run_whole(Tail tail);

  void find_layouts();

  void check_run() const;

  // ---- Optimised.
  /// Of a split for `input`; none where the model is not optimised.
  std::optional<Splits::Key> key(const at::Tensor& input) const;

  /// In two parts. Later layers are told by marks in the second.
  void run_in_parts();

  bool stands_at_split(size_t cut) const;

  void learn_split(const Splits::Key& key) const;

  std::shared_ptr<const Split> make_split() const;

  /// What hooks of others would do is no part of the model, so they are not told of it.
  Traced traced_run() const;

  // ---- Behind a cut.
  bool elides(size_t cut);

  bool try_eliding(size_t cut);

  std::unique_ptr<Tape> run_on_tape() const;

  /// Undefined where the run cannot be elided.
  at::Tensor elided_tail(size_t cut, const at::Tensor& activations, const at::Tensor& rows) const;

  Model model_;
  std::vector<Layer> layers_;
  std::shared_ptr<const Split> split_;  // null where the kept run was as the model is
  at::Tensor input_;
  at::Tensor output_;
  Points points_;
  std::vector<std::shared_ptr<const Layout>> layouts_;
  std::unique_ptr<Tape> tape_;
  std::vector<Elides> elides_;
};

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/model/detail/runner_inl.hpp"
#endif
