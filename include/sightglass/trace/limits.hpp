#pragma once

#include <cstddef>
#include <cstdint>

namespace sightglass::detail {

/// How much is remembered, how long something is waited for and how often it is tried.
struct Limits {
  // ---- Recognising a layer.

  /// Operations that a thread remembers. A layer that runs more of them before it reads a parameter is not learned; one
  /// that goes another way than it was learned after more of them is not learned anew.
  static constexpr uint64_t history = 256;
  /// Of these, the latest whose tensors are kept alive until a layer is learned. An older input that the model has let
  /// go is not found.
  static constexpr size_t kept_alive = 8;
  /// Operations from the first that reads a parameter on, in which the layer's input must be seen. After them the
  /// layer is said not to have run.
  static constexpr size_t until_input = 16;
  /// Tensors that may be the input of a layer, those around its first parameter's use first. Others are not looked at.
  static constexpr size_t candidates_seen = 24;
  /// The likeliest of these, on which the layer is tried; the others are left out. A layer of three or four inputs is
  /// tried on fewer, as each choice of inputs is a trial.
  static constexpr size_t candidates = 12;
  static constexpr size_t candidates_for_three = 6;
  static constexpr size_t candidates_for_four = 4;
  /// Places of each spatial dimension on which a layer is tried. More are cut off, and given where it fails without.
  static constexpr int64_t sample = 16;
  /// Failures to learn a layer. After them no tensors are kept alive for it.
  static constexpr int failures = 3;
  /// Failures that begin with operations of one name (an optimiser's, an average's). After them such an operation is
  /// no longer taken for the layer's.
  static constexpr int failures_at_operation = 2;
  /// Calls that turn out to be another layer's, at which a layer is learned anew. After them it is not.
  static constexpr int calls_of_another = 2;

  // ---- Looking into a model.

  /// The last layers of a transformer whose gradients say which of them to suggest. Of earlier ones only those that
  /// give no tokens are suggested.
  static constexpr size_t layers_with_gradients = 32;
  /// Tokens that are no places (class, distillation, registers), before those that are. With more no grid is found.
  static constexpr int64_t tokens_before = 8;
  /// Optimised forms of one model, each of which holds the weights once more. The one not used for longest goes.
  static constexpr size_t splits = 8;
  /// Calls within calls that are put into a TorchScript graph. A model with deeper ones is not optimised.
  static constexpr int inlined_calls = 100;
};

}  // namespace sightglass::detail
