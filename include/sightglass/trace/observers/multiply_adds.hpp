#pragma once

#include <ATen/ATen.h>

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "sightglass/inline.hpp"
#include "sightglass/trace/interceptor.hpp"
#include "sightglass/trace/tensors.hpp"

/// Multiply-adds, counted from the operations that a model runs.
namespace sightglass::detail {

/// The multiply-adds of one operation: a fixed number, and some for each element of its result.
struct MultiplyAdds {
  int64_t fixed = 0;
  int64_t per_result = 0;

  bool any() const { return fixed > 0 || per_result > 0; }
};

/// Size of a tensor argument along a dimension; 1 for a scalar.
int64_t size_of(const char* name, int64_t dim, const OperatorHandle& op, const Stack& stack);

/// A convolution adds up as many products for each element of its result as a filter has weights; a transposed one
/// spreads each element of its input over as many.
MultiplyAdds of_convolution(const OperatorHandle& op, const Stack& stack);

/// Attention multiplies queries `[..., L, E]` by keys `[..., S, E]`, and the map `[..., L, S]` by values `[..., S, V]`.
MultiplyAdds of_attention(const OperatorHandle& op, const Stack& stack);

/// Zero for operations that multiply no matrices: batch norm, pooling, activations, sums.
MultiplyAdds multiply_adds_of(const OperatorHandle& op, const Stack& stack);

/// True for operations that multiply matrices inside, where they are not counted.
bool hides_multiply_adds(const std::string& name);

/// While it listens, tells the multiply-adds of each operation; whoever listened before is told of everything too.
class MultiplyAddCounter final : public Onlooker {
 public:
  /// `tell(multiply_adds, operands)`: the operation's tensor arguments, after it has run.
  using Tell = std::function<void(int64_t multiply_adds, const std::vector<at::Tensor>& operands)>;

  explicit MultiplyAddCounter(Tell tell);

  SIGHTGLASS_INLINE void operation(const OperatorHandle& op, Stack& stack) override;

  /// How many operations have begun.
  int64_t operations() const { return operations_; }
  /// The names of the operations that ran and multiply matrices inside, each once.
  const std::vector<std::string>& hidden() const { return hidden_; }

 private:
  void note_hidden(const std::string& name);

  Tell tell_;
  int64_t operations_ = 0;
  std::vector<std::string> hidden_;
};

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/trace/observers/multiply_adds_inl.hpp"
#endif
