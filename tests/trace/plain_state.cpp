#include "sightglass/trace/learning/plain_state.hpp"

#include <random>

#include "support/harness/catch.hpp"

namespace sgd = sightglass::detail;
using torch::Tensor;

namespace {

struct NumbersImpl : torch::nn::Module {
  int count = 3;
  double rate = 0.5;
  std::mt19937 engine{1};
};
struct KeepingImpl : torch::nn::Module {
  Tensor last;
  int64_t count = 0;
};

}  // namespace

TEST_CASE("numbers in members are put back, generators too", "[plain_state]") {
  // Made in place and by new, of a class that nobody has told.
  for (const auto& module : {std::make_shared<NumbersImpl>(), std::shared_ptr<NumbersImpl>(new NumbersImpl)}) {
    std::mt19937 expected = module->engine;
    sgd::PlainState before({module});
    module->count = 9;
    module->rate = 0.1;
    for (int i = 0; i < 1000; ++i) module->engine();
    CHECK(before.put_back());
    CHECK(module->count == 3);
    CHECK(module->rate == 0.5);
    CHECK(module->engine() == expected());
  }
}

TEST_CASE("numbers beside a tensor that has changed are not put back, and that is told", "[plain_state]") {
  const auto module = std::make_shared<KeepingImpl>();
  const Tensor parameter = torch::ones({1});
  CHECK_FALSE(sgd::keeps_other_tensors({module}, {parameter}));
  {
    sgd::PlainState before({module});
    module->last = torch::ones({2});
    CHECK(before.put_back());  // a tensor alone is nothing that has to be put back
  }
  CHECK(sgd::keeps_other_tensors({module}, {parameter}));
  CHECK_FALSE(sgd::keeps_other_tensors({module}, {parameter, module->last}));
  sgd::PlainState before({module});
  module->last = torch::ones({2});
  module->count = 1;
  CHECK_FALSE(before.put_back());
  CHECK(module->count == 1);
}

TEST_CASE("LibTorch's own layers keep nothing but tensors", "[plain_state]") {
  CHECK(sgd::keeps_only_tensors(torch::nn::Conv2dImpl(1, 1, 1)));
  CHECK(sgd::keeps_only_tensors(torch::nn::SequentialImpl()));
  CHECK_FALSE(sgd::keeps_only_tensors(NumbersImpl()));
}
