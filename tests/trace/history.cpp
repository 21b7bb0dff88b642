#include "sightglass/trace/history.hpp"

#include "support/harness/catch.hpp"

namespace sgd = sightglass::detail;
using torch::Tensor;

TEST_CASE("a reference keeps nothing alive, unless asked to", "[history]") {
  Tensor x = torch::ones({2});
  sgd::TensorRef ref(x);
  const void* const address = x.unsafeGetTensorImpl();
  CHECK(ref.lock().is_same(x));
  CHECK(x.use_count() == 1);
  ref.keep_alive();
  x.reset();
  CHECK(ref.lock().defined());
  ref.let_go();
  CHECK_FALSE(ref.lock().defined());
  CHECK_FALSE(ref.unchanged().defined());
  CHECK(ref.impl() == address);
}

TEST_CASE("a tensor that was written in place since is not what it was", "[history]") {
  Tensor x = torch::ones({2});
  const sgd::TensorRef ref(x);
  CHECK(ref.unchanged().is_same(x));
  x.add_(1);
  CHECK_FALSE(ref.unchanged().defined());
  CHECK(ref.lock().is_same(x));
}

TEST_CASE("the last 256 events are held, by number", "[history]") {
  const auto op = c10::Dispatcher::singleton().findSchemaOrThrow("aten::relu", "");
  const auto other = c10::Dispatcher::singleton().findSchemaOrThrow("aten::tanh", "");
  sgd::History history;
  CHECK_FALSE(history.holds(0));
  history.begin(&other.schema()).results.emplace_back(torch::ones({1}));
  CHECK(history.latest() == 0);
  CHECK(history[0].schema == &other.schema());
  for (uint64_t i = 1; i < sgd::Limits::history; ++i) history.begin(&op.schema());
  CHECK(history.holds(0));
  CHECK(history.count() == 256);
  sgd::Event& next = history.begin(&op.schema());
  CHECK(next.results.empty());  // nothing is left of the event whose place it takes
  CHECK_FALSE(history.holds(0));
  CHECK(history.holds(1));
  CHECK(history.holds(256));
  CHECK_FALSE(history.holds(257));
  history.clear();
  CHECK(history.count() == 0);
  CHECK_FALSE(history.holds(0));
}
