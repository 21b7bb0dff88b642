#include "sightglass/trace/tracker.hpp"

#include <thread>

#include "sightglass/trace/learning/module.hpp"
#include "support/harness/catch.hpp"

namespace sgd = sightglass::detail;
using sgd::Side;
using torch::Tensor;

namespace {

struct Notes final : sgd::Subscriber {
  std::vector<std::vector<Tensor>> inputs, outputs;
  std::vector<std::string> misses;
  Tensor replacement;
  void leave(const std::vector<Tensor>& in, std::vector<Tensor>& out) override {
    inputs.push_back(in);
    outputs.push_back(out);
    if (replacement.defined()) out[0] = replacement;
  }
  void miss(const std::string& why) override { misses.push_back(why); }
};

std::shared_ptr<sgd::Runnable> runnable(const torch::nn::Linear& layer) {
  return std::make_shared<sgd::ModuleRunnable>(layer.ptr(), "fc", sgd::callable_of<torch::nn::LinearImpl>());
}

bool quiet() {
  return sgd::thread_state().listener == nullptr && !c10::impl::tls_is_dispatch_key_included(sgd::intercepted_key);
}

}  // namespace

TEST_CASE("a thread has one tracker, and another thread another", "[tracker]") {
  const auto here = sgd::Tracker::of_thread();
  CHECK(sgd::Tracker::of_thread() == here);
  std::shared_ptr<sgd::Tracker> there;
  std::thread([&] { there = sgd::Tracker::of_thread(); }).join();
  CHECK(there != here);
}

TEST_CASE("a tracker listens while somebody is subscribed, and lets go of all when they have left", "[tracker]") {
  torch::nn::Linear fc(3, 2);
  const auto tracker = sgd::Tracker::of_thread();
  const auto notes = std::make_shared<Notes>();
  const auto owner = runnable(fc);
  CHECK(quiet());
  tracker->subscribe(owner, owner->id().address, notes);
  CHECK_FALSE(quiet());
  CHECK_FALSE(tracker->idle());
  const Tensor x = torch::randn({1, 3});
  const Tensor y = fc->forward(x);
  REQUIRE(notes->outputs.size() == 1);
  CHECK(notes->inputs[0].at(0).is_same(x));
  CHECK(notes->outputs[0].at(0).is_same(y));
  notes->remove();
  CHECK_FALSE(quiet());  // it has not been told yet
  tracker->note_removal();
  CHECK(quiet());
  CHECK(tracker->idle());
  CHECK(notes.use_count() == 1);
  CHECK(owner.use_count() == 1);
}

TEST_CASE("a removal noted on another thread is seen to at the next operation", "[tracker]") {
  torch::nn::Linear fc(3, 2);
  const auto tracker = sgd::Tracker::of_thread();
  const auto notes = std::make_shared<Notes>();
  tracker->subscribe(runnable(fc), runnable(fc)->id().address, notes);
  std::thread([&] {
    notes->remove();
    tracker->note_removal();
  }).join();
  CHECK_FALSE(tracker->idle());
  torch::ones({1});
  CHECK(tracker->idle());
  CHECK(quiet());
}

TEST_CASE("places that mark themselves are told with the values at both ends", "[tracker]") {
  const auto tracker = sgd::Tracker::of_thread();
  const auto notes = std::make_shared<Notes>();
  const int place = 0;
  const int other = 0;
  tracker->subscribe(&place, notes);
  const Tensor x = torch::ones({1}), y = torch::zeros({1}), z = torch::full({1}, 5.);
  const auto call = [&](const void* at, const Tensor& in, const Tensor& out) {
    std::vector<Tensor> values{in};
    sgd::announce(at, Side::begin, values);
    values = {out};
    sgd::announce(at, Side::end, values);
    return values[0];
  };
  CHECK(call(&other, x, y).is_same(y));
  CHECK(notes->outputs.empty());
  CHECK(call(&place, x, y).is_same(y));
  REQUIRE(notes->outputs.size() == 1);
  CHECK(notes->inputs[0].at(0).is_same(x));
  CHECK(notes->outputs[0].at(0).is_same(y));
  notes->replacement = z;
  CHECK(call(&place, x, y).is_same(z));

  // A call that was broken off inside does not lend its input to the next one.
  std::vector<Tensor> values{z};
  sgd::announce(&place, Side::begin, values);
  call(&place, x, y);
  CHECK(notes->inputs.back().at(0).is_same(x));
  notes->remove();
  tracker->note_removal();
  CHECK(quiet());
}

TEST_CASE("keepers are told before their memory is written, once, and only while they live", "[tracker]") {
  struct Counter final : sgd::Keeper {
    int told = 0;
    float first = 0;
    Tensor watched;
    void about_to_change(const void* storage) override {
      ++told;
      if (watched.defined() && storage == sgd::storage_of(watched)) first = watched[0].item<float>();
    }
  };
  const auto tracker = sgd::Tracker::of_thread();
  const auto notes = std::make_shared<Notes>();
  const int place = 0;
  tracker->subscribe(&place, notes);  // so that it listens
  Tensor x = torch::ones({2});
  Tensor y = torch::ones({2});
  const auto keeper = std::make_shared<Counter>();
  keeper->watched = x;
  auto mortal = std::make_shared<Counter>();
  tracker->keep(x, keeper);
  tracker->keep(x, mortal);
  mortal.reset();
  y.add_(1);
  torch::add(x, y);
  CHECK(keeper->told == 0);
  x.view({2, 1}).mul_(7);  // through a view
  CHECK(keeper->told == 1);
  CHECK(keeper->first == 1);  // before the write
  x.mul_(2);
  CHECK(keeper->told == 1);
  notes->remove();
  tracker->note_removal();
}

TEST_CASE("a listener that was there before is not pushed aside", "[tracker]") {
  struct Silent : sgd::Listener {
    void operation(const sgd::OperatorHandle& op, sgd::Stack& stack) override { op.callBoxed(stack); }
  } silent;
  const auto tracker = sgd::Tracker::of_thread();
  const auto notes = std::make_shared<Notes>();
  const int place = 0;
  {
    const sgd::Observed scope(silent);
    tracker->subscribe(&place, notes);
    CHECK(sgd::thread_state().listener == &silent);
    notes->remove();
    tracker->note_removal();
    CHECK(sgd::thread_state().listener == &silent);
  }
  CHECK(quiet());
}
