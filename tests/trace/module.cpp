#include "sightglass/trace/learning/module.hpp"

#include "support/harness/catch.hpp"
#include "support/nets/nets.hpp"

namespace sgd = sightglass::detail;
using torch::Tensor;

namespace {

struct Marks : sgd::Listener {
  std::vector<std::pair<const void*, sgd::Side>> seen;
  void operation(const sgd::OperatorHandle& op, sgd::Stack& stack) override { op.callBoxed(stack); }
  void mark(const void* place, sgd::Side side, std::vector<Tensor>&) override { seen.emplace_back(place, side); }
};

}  // namespace

TEST_CASE("a module runs as itself, and its state is its parameters and buffers", "[module]") {
  torch::manual_seed(1);
  torch::nn::BatchNorm2d norm(3);
  norm->eval();
  sgd::ModuleRunnable runnable(norm.ptr(), "norm", sgd::callable_of<torch::nn::BatchNorm2dImpl>());
  const Tensor x = torch::randn({2, 3, 4, 4});
  CHECK(torch::equal(runnable.run({x}).at(0), norm->forward(x)));
  CHECK(runnable.state().size() == 5);
  CHECK(runnable.buffers().size() == 3);
  CHECK(runnable.id().address == static_cast<torch::nn::Module*>(norm.get()));
  CHECK(runnable.describe() == "layer \"norm\" (torch::nn::BatchNorm2dImpl)");
}

TEST_CASE("a runnable does not keep its module alive, and says so when it is gone", "[module]") {
  auto fc = std::make_shared<torch::nn::LinearImpl>(2, 2);
  sgd::ModuleRunnable runnable(fc, "fc", sgd::callable_of<torch::nn::LinearImpl>());
  CHECK_FALSE(runnable.lifetime().expired());
  fc.reset();
  CHECK(runnable.lifetime().expired());
  CHECK(runnable.state().empty());
  CHECK_THROWS_WITH(runnable.run({torch::ones({1, 2})}), ContainsSubstring("no longer exists"));
}

TEST_CASE("the mode is another when any module inside trains or does not", "[module]") {
  nets::ResNet net;
  sgd::ModuleRunnable runnable(net.ptr(), "", sgd::callable_of<nets::ResNetImpl>());
  const uint64_t training = runnable.mode();
  net->named_modules()["layer1.1.bn2"]->eval();  // frozen batch norm
  const uint64_t frozen = runnable.mode();
  net->eval();
  const uint64_t evaluation = runnable.mode();
  CHECK(training != frozen);
  CHECK(frozen != evaluation);
  net->train();
  CHECK(runnable.mode() == training);
}

TEST_CASE("a child of a Sequential is called through the container", "[module]") {
  torch::manual_seed(2);
  torch::nn::Sequential net(nets::BottleneckImpl(4, 2), torch::nn::ReLU());
  const auto callable = sgd::callable_of_child(net.ptr(), 0);
  const Tensor x = torch::randn({1, 4, 3, 3});
  CHECK(torch::equal(callable.call(*net[0], {x}).at(0), net[0]->as<nets::Bottleneck>()->forward(x)));
}

TEST_CASE("running a Sequential announces each child at both its ends", "[module]") {
  torch::manual_seed(3);
  torch::nn::Sequential net(torch::nn::Linear(2, 2), torch::nn::Identity(), torch::nn::ReLU());
  sgd::SequentialRunnable runnable(net.ptr(), "net");
  const Tensor x = torch::randn({1, 2});
  const Tensor expected = net->forward(x);
  Marks marks;
  {
    const sgd::Observed scope(marks);
    CHECK(torch::equal(runnable.run({x}).at(0), expected));
  }
  REQUIRE(marks.seen.size() == 6);
  for (size_t i = 0; i < 3; ++i) {
    CHECK(marks.seen[2 * i].first == net[i].get());
    CHECK(marks.seen[2 * i].second == sgd::Side::begin);
    CHECK(marks.seen[2 * i + 1].first == net[i].get());
    CHECK(marks.seen[2 * i + 1].second == sgd::Side::end);
  }
  const torch::nn::Sequential empty;
  sgd::SequentialRunnable of_empty(empty.ptr(), "empty");
  CHECK_THROWS_AS(of_empty.run({x}), c10::Error);
}

TEST_CASE("a class derived from Sequential is another runnable than its children's chain", "[module]") {
  nets::ResidualNet net;
  sgd::SequentialRunnable chain(net->residual.ptr(), "residual");
  CHECK_FALSE(sgd::is_plain_sequential(*net->residual));
  CHECK(chain.id().kind == sgd::RunnableId::Kind::children);
  torch::nn::Sequential plain(torch::nn::ReLU{});
  CHECK(sgd::is_plain_sequential(*plain));
  CHECK(sgd::SequentialRunnable(plain.ptr(), "plain").id().kind == sgd::RunnableId::Kind::forward);
}
