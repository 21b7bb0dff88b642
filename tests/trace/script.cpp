#include "sightglass/trace/script/script.hpp"

#include "support/harness/catch.hpp"
#include "support/nets/scripts.hpp"
#include "support/harness/snapshot.hpp"

namespace sgd = sightglass::detail;
using torch::Tensor;

namespace {

struct Marks : sgd::Listener {
  struct Seen {
    const void* place;
    sgd::Side side;
    std::vector<Tensor> values;
  };
  std::vector<Seen> seen;
  bool zero = false;
  void operation(const sgd::OperatorHandle& op, sgd::Stack& stack) override { op.callBoxed(stack); }
  void mark(const void* place, sgd::Side side, std::vector<Tensor>& values) override {
    seen.push_back({place, side, values});
    if (zero && side == sgd::Side::end) values[0] = torch::zeros_like(values[0]);
  }
};

const void* address(const torch::jit::Module& module, const std::vector<std::string>& path) {
  return scripts::child(module, path)._ivalue().get();
}

}  // namespace

TEST_CASE("a marked copy announces the chosen submodules, with their values, in the order in which they run",
          "[script]") {
  torch::manual_seed(1);
  const torch::jit::Module net = scripts::net();
  const auto model = sgd::ScriptModel::of(net);
  model->want("conv1");
  model->want("blocks.1");
  model->want("relu");
  const Tensor x = torch::randn({1, 3, 5, 5});
  const Tensor expected = scripts::run(net, x);
  Marks marks;
  {
    const sgd::Observed scope(marks);
    CHECK(torch::equal(model->run({x}).at(0), expected));
  }
  std::vector<const void*> begun;
  for (const auto& mark : marks.seen) {
    if (mark.side == sgd::Side::begin) begun.push_back(mark.place);
  }
  CHECK(begun == std::vector<const void*>{address(net, {"conv1"}), address(net, {"relu"}), address(net, {"relu"}),
                                          address(net, {"blocks", "1"})});
  CHECK(marks.seen.size() == 8);
  CHECK(marks.seen[0].values[0].is_same(x));
  CHECK(torch::equal(marks.seen[1].values[0], scripts::run(scripts::child(net, {"conv1"}), x)));
}

TEST_CASE("what a listener puts in a mark's place goes on through the copy", "[script]") {
  torch::manual_seed(2);
  const torch::jit::Module net = scripts::net();
  const auto model = sgd::ScriptModel::of(net);
  model->want("pool");
  Marks marks;
  marks.zero = true;
  const sgd::Observed scope(marks);
  const Tensor y = model->run({torch::randn({2, 3, 5, 5})}).at(0);
  CHECK(torch::allclose(y, scripts::child(net, {"fc"}).attr("bias").toTensor().expand({2, 5})));
}

TEST_CASE("the copy is a copy: the module's graph stays as it is", "[script]") {
  const torch::jit::Module net = scripts::traced_net();
  const std::string before = net.get_method("forward").graph()->toString() +
                             scripts::child(net, {"block"}).get_method("forward").graph()->toString();
  std::stringstream file;
  net.save(file);
  const auto graph = sgd::Marker({"block.conv", "stem"}).mark(net);
  CHECK_THAT(graph->toString(), ContainsSubstring("sightglass::mark"));
  CHECK(net.get_method("forward").graph()->toString() +
            scripts::child(net, {"block"}).get_method("forward").graph()->toString() ==
        before);
  std::stringstream again;
  net.save(again);
  CHECK(file.str() == again.str());
}

TEST_CASE("only what lies on the way to a mark is inlined", "[script]") {
  const torch::jit::Module net = scripts::traced_net();
  const auto graph = sgd::Marker({"stem"}).mark(net);
  size_t calls = 0;
  size_t marks = 0;
  for (const torch::jit::Node* node : graph->nodes()) {
    calls += node->kind() == c10::prim::CallMethod ? 1 : 0;
    marks += node->kind() == sgd::mark_symbol() ? 1 : 0;
  }
  CHECK(calls == 3);  // stem, block, fc
  CHECK(marks == 2);  // before and after stem
}

TEST_CASE("there is one model for each module object, for as long as that lives", "[script]") {
  auto net = std::make_unique<torch::jit::Module>(scripts::net());
  const torch::jit::Module copy = net->deepcopy();
  const auto model = sgd::ScriptModel::of(*net);
  CHECK(sgd::ScriptModel::of(*net) == model);
  CHECK(sgd::ScriptModel::of(copy) != model);
  CHECK(model->id().address == net->_ivalue().get());
  CHECK_FALSE(model->lifetime().expired());
  CHECK(model->state().size() == model->buffers().size() + torch::jit::Module(*net).parameters().size());
  net.reset();
  CHECK(model->lifetime().expired());
  CHECK(model->state().empty());
  CHECK_THROWS_WITH(model->run({torch::ones({1})}), ContainsSubstring("no longer exists"));
}

TEST_CASE("the mode is another when marks are added or the module trains", "[script]") {
  torch::jit::Module net = scripts::net();
  const auto model = sgd::ScriptModel::of(net);
  model->want("conv1");
  const uint64_t one = model->mode();
  model->want("conv1");
  CHECK(model->mode() == one);
  model->want("fc");
  const uint64_t two = model->mode();
  net.train();
  CHECK(one != two);
  CHECK(model->mode() != two);
}

TEST_CASE("an error in a marked copy is the model's own", "[script]") {
  const torch::jit::Module net = scripts::net();
  const auto model = sgd::ScriptModel::of(net);
  CHECK_THROWS_WITH(model->run({torch::randn({1, 7, 5, 5})}), ContainsSubstring("channels"));
}
