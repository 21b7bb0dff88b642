#include "sightglass/trace/learning/learn.hpp"

#include "sightglass/trace/learning/module.hpp"
#include "support/harness/catch.hpp"
#include "support/nets/nets.hpp"
#include "support/harness/snapshot.hpp"

namespace sgd = sightglass::detail;
using torch::Tensor;

namespace {

/// A runnable for a layer whose type is known.
template <class Holder>
sgd::ModuleRunnable runnable(const Holder& layer) {
  return {layer.ptr(), "it", sgd::callable_of<typename Holder::ContainedType>()};
}

/// Writes all operations into a history, without results: what is seen when an operation is about to run.
struct Historian : sgd::Listener {
  sgd::History history;
  std::vector<Tensor> alive;
  void operation(const sgd::OperatorHandle& op, sgd::Stack& stack) override {
    sgd::Event& event = history.begin(&op.schema());
    for (const Tensor& tensor : sgd::flat_tensors(sgd::arguments(op, stack))) event.give(tensor);
    op.callBoxed(stack);
    for (const Tensor& tensor : sgd::flat_tensors(sgd::results(op, stack))) {
      event.results.emplace_back(tensor);
      alive.push_back(tensor);
    }
  }
  template <class Run>
  void watch(Run run) {
    const sgd::Observed scope(*this);
    alive.push_back(run());
  }
};

}  // namespace

TEST_CASE("a sample is one image of at most 16 by 16, one whole image, or the batch", "[learn]") {
  const Tensor images = torch::randn({4, 3, 20, 30});
  CHECK(sgd::sample_of(images, sgd::SampleSize::cut).sizes() == torch::IntArrayRef({1, 3, 16, 16}));
  CHECK(sgd::sample_of(images, sgd::SampleSize::single).sizes() == torch::IntArrayRef({1, 3, 20, 30}));
  CHECK(sgd::sample_of(images, sgd::SampleSize::whole).sizes() == images.sizes());
  const Tensor small = torch::randn({4, 3, 8, 30});
  CHECK(sgd::sample_of(small, sgd::SampleSize::cut).sizes() == torch::IntArrayRef({1, 3, 8, 16}));
  const Tensor rows = torch::randn({4, 100});
  CHECK(sgd::sample_of(rows, sgd::SampleSize::cut).sizes() == torch::IntArrayRef({1, 100}));  // no spatial dimension
  // A copy, without a graph, of the very values.
  const Tensor leaf = torch::randn({2, 3}).requires_grad_();
  const Tensor sample = sgd::sample_of(leaf, sgd::SampleSize::whole);
  CHECK_FALSE(sample.requires_grad());
  CHECK(torch::equal(sample, leaf));
  CHECK(sample.data_ptr() != leaf.data_ptr());
}

TEST_CASE("a trial run leaves the model, the random state and the gradients as they were", "[learn]") {
  torch::manual_seed(1);
  struct NoisyImpl : torch::nn::Module {
    torch::nn::BatchNorm1d norm{3};
    torch::nn::Linear fc{3, 3};
    NoisyImpl() {
      register_module("norm", norm);
      register_module("fc", fc);
    }
    Tensor forward(Tensor x) {
      x = torch::dropout(fc->forward(norm->forward(x)), 0.5, true) + torch::randn({3});
      x = x.bernoulli_(0.5);
      return torch::rand_like(x) * x;
    }
  };
  const auto noisy = std::make_shared<NoisyImpl>();
  sgd::ModuleRunnable owner(noisy, "noisy", sgd::callable_of<NoisyImpl>());
  const Tensor x = torch::randn({4, 3});
  const support::Snapshot before(*noisy);
  const auto trial = sgd::run_trial(owner, {x});
  const support::Snapshot after(*noisy);
  CHECK(trial.failure.empty());
  REQUIRE(trial.signature.has_value());
  CHECK(trial.signature->mode == owner.mode());
  CHECK(before.difference(after) == "");
  CHECK(torch::GradMode::is_enabled());
}

TEST_CASE("a trial run that throws says why in one line, and leaves everything as it was", "[learn]") {
  torch::nn::BatchNorm2d norm(3);
  auto owner = runnable(norm);
  const Tensor x = torch::randn({4, 3});
  const support::Snapshot before(*norm);
  const auto trial = sgd::run_trial(owner, {x});
  CHECK_FALSE(trial.signature.has_value());
  CHECK_THAT(trial.failure, ContainsSubstring("expected 4D input"));
  CHECK(trial.failure.find('\n') == std::string::npos);
  CHECK(before.difference(support::Snapshot(*norm)) == "");
  CHECK(sgd::thread_state().listener == nullptr);
  CHECK_FALSE(c10::impl::tls_is_dispatch_key_included(sgd::intercepted_key));
}

TEST_CASE("a forward that reads none of its parameters cannot be recognised", "[learn]") {
  struct DozingImpl : torch::nn::Module {
    Tensor scale = register_parameter("scale", torch::ones({1}));
    Tensor forward(Tensor x) { return is_training() ? x * scale : x; }
  };
  const auto dozing = std::make_shared<DozingImpl>();
  dozing->eval();
  sgd::ModuleRunnable owner(dozing, "dozing", sgd::callable_of<DozingImpl>());
  const auto trial = sgd::run_trial(owner, {torch::randn({4, 3})});
  CHECK_FALSE(trial.signature.has_value());
  CHECK_THAT(trial.failure, ContainsSubstring("reads none of its parameters"));
}

TEST_CASE("a layer is learned from what its anchor is given, or from what came before it", "[learn]") {
  torch::manual_seed(3);
  torch::nn::Linear fc(3, 2);
  auto owner = runnable(fc);
  const Tensor x = torch::randn({4, 3});
  Historian historian;
  historian.watch([&] { return torch::tanh(fc->forward(torch::relu(x))); });
  const uint64_t anchor = 1;  // relu, then the first operation on the weight
  sgd::TriedInputs tried;
  const auto trial = sgd::learn(owner, historian.history, anchor, tried);
  // tanh has been seen as well, so the call has ended: too late.
  CHECK_FALSE(trial.signature.has_value());

  Historian in_time;
  in_time.watch([&] { return fc->forward(torch::relu(x)); });
  sgd::TriedInputs fresh;
  const auto learned = sgd::learn(owner, in_time.history, anchor, fresh);
  REQUIRE(learned.signature.has_value());
  CHECK(learned.signature->steps.size() == in_time.history.count() - 1);
  CHECK(sgd::agrees(*learned.signature, in_time.history, anchor, {}, sgd::state_refs(owner)));
  CHECK_FALSE(sgd::agrees(*learned.signature, in_time.history, anchor + 1, {}, sgd::state_refs(owner)));
  // A second time nothing is tried twice.
  CHECK_FALSE(sgd::learn(owner, in_time.history, anchor, fresh).signature.has_value());
}

TEST_CASE("a layer that knows its size is learned on the whole", "[learn]") {
  torch::manual_seed(4);
  struct FixedImpl : torch::nn::Module {
    torch::nn::Conv2d conv{nets::conv3x3(3, 2)};
    std::shared_ptr<int> calls = std::make_shared<int>(0);  // numbers in the members would be put back
    FixedImpl() { register_module("conv", conv); }
    Tensor forward(Tensor x) {
      ++*calls;
      return conv->forward(x).view({-1, 2 * 20 * 20});
    }
  };
  const auto fixed = std::make_shared<FixedImpl>();
  sgd::ModuleRunnable owner(fixed, "fixed", sgd::callable_of<FixedImpl>());
  const Tensor x = torch::randn({2, 3, 20, 20});
  Historian historian;
  historian.watch([&] { return fixed->forward(x); });
  sgd::TriedInputs tried;
  CHECK(sgd::learn(owner, historian.history, 0, tried).signature.has_value());
  CHECK(*fixed->calls == 3);  // its own, cut, single
}

TEST_CASE("ordered choices of the likeliest are visited until one will do", "[learn]") {
  std::vector<Tensor> from;
  for (int i = 0; i < 3; ++i) from.push_back(torch::full({1}, i));
  std::vector<std::vector<int>> seen;
  const auto note = [&](const std::vector<Tensor>& chosen) {
    seen.emplace_back();
    for (const Tensor& tensor : chosen) seen.back().push_back(tensor.item<int>());
    return seen.back() == std::vector<int>{1, 0};
  };
  CHECK(sgd::any_choice(from, 2, note));
  CHECK(seen == std::vector<std::vector<int>>{{0, 0}, {0, 1}, {0, 2}, {1, 0}});
  seen.clear();
  CHECK_FALSE(sgd::any_choice(from, 1, note));
  CHECK(seen == std::vector<std::vector<int>>{{0}, {1}, {2}});
  CHECK_FALSE(sgd::any_choice({}, 1, note));
}

TEST_CASE("the states of generators are put back", "[learn]") {
  const Tensor before = support::random_state();
  {
    const sgd::GeneratorStates states({torch::ones({1})});
    torch::rand({100});
    CHECK_FALSE(support::identical(support::random_state(), before));
  }
  CHECK(support::identical(support::random_state(), before));
}
