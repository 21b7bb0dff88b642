#include "sightglass/trace/learning/signature.hpp"

#include "support/harness/catch.hpp"
#include "support/nets/nets.hpp"
#include "support/harness/snapshot.hpp"

namespace sgd = sightglass::detail;
using sgd::Side;
using torch::Tensor;

namespace {

/// A recorder of what `run` does with `x`, with the parameters and buffers of `module`.
template <class Run>
sgd::Signature record(const torch::nn::Module& module, const Tensor& x, Run run) {
  std::vector<Tensor> state = module.buffers();
  for (const Tensor& parameter : module.parameters()) state.push_back(parameter);
  sgd::Recorder recorder({x}, state, module.buffers());
  const torch::NoGradGuard no_gradients;
  const sgd::Observed scope(recorder);
  std::vector<Tensor> values{x};
  recorder.mark(&module, Side::begin, values);
  values = {run(x)};
  recorder.mark(&module, Side::end, values);
  return recorder.take();
}

std::vector<std::string> names(const sgd::Signature& signature) {
  std::vector<std::string> all;
  for (const auto* schema : signature.steps) all.push_back(schema->name());
  return all;
}

}  // namespace

TEST_CASE("a signature lists a layer's operations, its anchor, its input and its output", "[signature]") {
  torch::nn::Linear fc(3, 2);
  const auto signature =
      record(*fc, torch::ones({1, 3}), [&](const Tensor& x) { return torch::relu(fc->forward(x * 2)); });
  const auto steps = names(signature);
  REQUIRE(steps.size() >= 3);
  CHECK(steps.front() == "aten::mul");
  CHECK(steps.back() == "aten::relu");
  CHECK(signature.anchor == 1);  // the first operation that reads the weight
  REQUIRE(signature.inputs.size() == 1);
  REQUIRE(signature.inputs[0].has_value());
  CHECK(signature.inputs[0]->step == 0);
  CHECK(signature.inputs[0]->argument == 0);
  REQUIRE(signature.spans.size() == 1);
  const sgd::Span& whole = signature.spans[0];
  CHECK(whole.begin == 0);
  CHECK(whole.end == steps.size());
  CHECK(whole.inputs[0].kind == sgd::Source::Kind::input);
  CHECK(whole.outputs[0].step == steps.size() - 1);
  CHECK(whole.outputs[0].index == 0);
}

TEST_CASE("marks inside of a run become spans, the inner ones first", "[signature]") {
  torch::nn::Linear fc(3, 2);
  const int a = 0;
  const int b = 0;
  std::vector<Tensor> seen;
  sgd::Recorder recorder({}, {}, {});
  {
    const sgd::Observed scope(recorder);
    std::vector<Tensor> values{torch::ones({2})};
    recorder.mark(&a, Side::begin, values);
    values = {torch::relu(values[0])};
    recorder.mark(&b, Side::begin, values);
    recorder.mark(&b, Side::end, values);  // runs nothing
    values = {torch::tanh(values[0])};
    recorder.mark(&a, Side::end, values);
    recorder.mark(&fc, Side::end, values);  // never begun
  }
  const auto signature = recorder.take();
  REQUIRE(signature.spans.size() == 2);
  CHECK(signature.spans[0].place == &b);
  CHECK(signature.spans[0].begin == 2);
  CHECK(signature.spans[0].end == 2);
  CHECK(signature.spans[0].inputs[0].step == 1);
  CHECK(signature.spans[0].outputs[0].step == 1);
  CHECK(signature.spans[1].place == &a);
  CHECK(signature.spans[1].begin == 1);
  CHECK(signature.spans[1].inputs[0].step == 0);
  CHECK(signature.spans[1].outputs[0].step == 2);
}

TEST_CASE("several results of one operation are told apart", "[signature]") {
  sgd::Recorder recorder({}, {}, {});
  const int place = 0;
  {
    const sgd::Observed scope(recorder);
    const Tensor x = torch::ones({4});
    auto parts = x.chunk(2);
    std::vector<Tensor> values{parts[1], torch::Tensor(), parts[0]};
    recorder.mark(&place, Side::begin, values);
    recorder.mark(&place, Side::end, values);
  }
  const auto sources = recorder.take().spans.at(0).outputs;
  CHECK(sources[0].index == 1);
  CHECK_FALSE(sources[1].made());
  CHECK(sources[2].index == 0);
  CHECK(sources[0].step == sources[2].step);
}

TEST_CASE("a recorded run changes no buffer, and its later reads see its own writes", "[signature]") {
  torch::manual_seed(1);
  torch::nn::BatchNorm2d norm(3);
  const Tensor x = torch::randn({2, 3, 4, 4});
  const support::Snapshot before(*norm);
  record(*norm, x, [&](const Tensor& y) {
    norm->forward(y);
    const Tensor z = norm->forward(y);
    CHECK(norm->num_batches_tracked.item<int64_t>() == 2);
    return z;
  });
  CHECK(before.difference(support::Snapshot(*norm)) == "");
}

TEST_CASE("a recorded run changes no parameter, even one that was looked at through a view", "[signature]") {
  torch::manual_seed(2);
  torch::nn::Linear fc(3, 3);
  const Tensor outside = torch::ones({3, 3});
  const Tensor input = torch::randn({3, 3});
  const support::Snapshot before(*fc);
  record(*fc, input, [&](const Tensor& x) {
    const Tensor y = fc->forward(x) + outside.t();  // reads the weight's transpose, and another's
    fc->weight.mul_(0.5);
    fc->weight.t().add_(1);
    fc->bias.zero_();
    outside.t().add_(1);
    return y;
  });
  CHECK(before.difference(support::Snapshot(*fc)) == "");
  CHECK(torch::equal(outside, torch::ones({3, 3})));
}

TEST_CASE("what a recorded run makes itself, or is given, it may write", "[signature]") {
  torch::nn::Linear fc(3, 3);
  Tensor given = torch::ones({2, 3});
  record(*fc, given, [&](Tensor x) {
    x.add_(1);
    Tensor y = fc->forward(x);
    y.zero_();
    CHECK(torch::equal(y, torch::zeros({2, 3})));
    return y;
  });
  CHECK(torch::equal(given, torch::full({2, 3}, 2.f)));
}

TEST_CASE("a layer that writes its buffer first is anchored where it reads something", "[signature]") {
  torch::nn::BatchNorm2d norm(3);  // add_(num_batches_tracked) comes first
  const auto signature = record(*norm, torch::randn({2, 3, 4, 4}), [&](const Tensor& x) { return norm->forward(x); });
  const auto steps = names(signature);
  REQUIRE(signature.anchor < steps.size());
  CHECK(steps[signature.anchor] == "aten::batch_norm");
}

TEST_CASE("tensors that a layer stores are known as survivors", "[signature]") {
  Tensor stored;
  sgd::Recorder recorder({}, {}, {});
  {
    const sgd::Observed scope(recorder);
    stored = torch::ones({2}) * 2;
    torch::relu(stored);
  }
  const auto survivors = recorder.survivors();
  REQUIRE(survivors.size() == 1);
  CHECK(survivors[0].impl() == stored.unsafeGetTensorImpl());
}
