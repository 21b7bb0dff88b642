#include "sightglass/trace/learning/members.hpp"

#include "support/harness/catch.hpp"
#include "support/nets/nets.hpp"

namespace sgd = sightglass::detail;
using torch::Tensor;

namespace {

/// What LibTorch's public function gives, against what is read directly.
void check_same(const std::vector<Tensor>& wanted, const sgd::MembersOf::NamedTensors& found) {
  REQUIRE(found.size() == wanted.size());
  for (size_t i = 0; i < wanted.size(); ++i) CHECK(found[i].value().is_same(wanted[i]));
}

}  // namespace

TEST_CASE("a module's own parameters, buffers and children are those that LibTorch tells of", "[members]") {
  const torch::nn::Sequential net(torch::nn::Conv2d(3, 4, 3), torch::nn::BatchNorm2d(4), torch::nn::ReLU());
  CHECK(sgd::MembersOf::children(*net).size() == 3);
  for (const auto& module : net->modules()) {
    check_same(module->parameters(/*recurse=*/false), sgd::MembersOf::parameters(*module));
    check_same(module->buffers(/*recurse=*/false), sgd::MembersOf::buffers(*module));
  }
}

TEST_CASE("what is registered later is seen", "[members]") {
  torch::nn::Linear fc(2, 3);
  fc->register_buffer("mask", torch::ones({3}));
  check_same(fc->buffers(/*recurse=*/false), sgd::MembersOf::buffers(*fc));
  CHECK(sgd::MembersOf::buffers(*fc).size() == 1);
}

TEST_CASE("any_module looks at a module and all inside of it", "[members]") {
  torch::nn::Sequential net(torch::nn::Linear(2, 2), torch::nn::Dropout());
  net->eval();
  const auto trains = [](const torch::nn::Module& module) { return module.is_training(); };
  CHECK_FALSE(sgd::any_module(*net, trains));
  net->ptr(1)->train();
  CHECK(sgd::any_module(*net, trains));
  net->ptr(1)->eval();
  net->train(true);
  net->ptr(0)->eval();
  net->ptr(1)->eval();
  CHECK(sgd::any_module(*net, trains));  // itself
}
