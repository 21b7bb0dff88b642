// What belongs to which call of a module.

#include "sightglass/exported/detail/call_tree.hpp"

#include <sightglass/sightglass.hpp>
#include <torch/script.h>

#include "support/data/programs.hpp"
#include "support/harness/catch.hpp"

namespace sg = sightglass;
using support::Json;
using support::load;
using support::node;
using support::ProgramFile;
using support::tensor;

TEST_CASE("a layer that runs twice is heard twice", "[exported_program]") {
  ProgramFile file;
  file.nodes = {node("aten.relu.default", {{"self", tensor("x")}}, {tensor("one")}, "act"),
                node("aten.sub.Tensor", {{"self", tensor("one")}, {"other", {{"as_float", 0.5}}}}, {tensor("sub")}),
                node("aten.relu.default", {{"self", tensor("sub")}}, {tensor("two")}, "act@1")};
  file.outputs = {tensor("two")};
  sg::ExportedProgram program = load(file);
  std::vector<at::Tensor> heard;
  const at::Tensor x = at::rand({2, 3});
  const sg::ForwardHook hook(program, "act", [&](const sg::Layer&, const at::Tensor&, const at::Tensor& output) {
    heard.push_back(output.clone());
  });
  program.forward({x});
  REQUIRE(heard.size() == 2);
  CHECK(heard[0].equal(x.relu()));
  CHECK(heard[1].equal((x.relu() - 0.5).relu()));
}

TEST_CASE("a buffer that the program writes is written", "[exported_program]") {
  ProgramFile file;
  file.buffers = {{"count", at::zeros({2, 3})}};
  file.nodes = {node("aten.add.Tensor", {{"self", tensor("b_count")}, {"other", tensor("x")}}, {tensor("add")})};
  file.written = Json::array({{{"buffer_mutation", {{"arg", {{"name", "add"}}}, {"buffer_name", "count"}}}}});
  file.outputs = {tensor("add")};
  sg::ExportedProgram program = load(file);
  const at::Tensor x = at::rand({2, 3});
  program.forward({x});
  program.forward({x});
  CHECK(program.named_buffers()["count"].allclose(2 * x));
}

TEST_CASE("what a layer makes only to be written to a buffer is not what it gives", "[exported_program]") {
  ProgramFile file;
  file.parameters = {{"norm.weight", at::full({2, 3}, 2.0f)}};
  file.buffers = {{"norm.scale", at::full({2, 3}, 5.0f)}};
  file.nodes = {
      node("aten.add.Tensor", {{"self", tensor("b_norm.scale")}, {"other", {{"as_int", 1}}}}, {tensor("add")}, "norm"),
      node("aten.mul.Tensor", {{"self", tensor("p_norm.weight")}, {"other", tensor("b_norm.scale")}}, {tensor("mul")},
           "norm"),
      node("aten.mul.Tensor", {{"self", tensor("mul")}, {"other", tensor("x")}}, {tensor("given")}, "norm"),
      node("aten.neg.default", {{"self", tensor("given")}}, {tensor("neg")})};
  file.written = Json::array({{{"buffer_mutation", {{"arg", {{"name", "add"}}}, {"buffer_name", "norm.scale"}}}}});
  file.outputs = {tensor("neg")};
  sg::ExportedProgram program = load(file);
  const at::Tensor x = at::rand({2, 3});
  const sg::Capture norm(sg::layer(program, "norm"));
  const at::Tensor output = program.forward({x}).toTensor();
  CHECK(norm.output().allclose(10 * x));
  CHECK(program.named_buffers()["norm.scale"].equal(at::full({2, 3}, 6.0f)));
  output.sum().backward();  // by the buffer as it was
  CHECK(program.named_parameters()["norm.weight"].grad().allclose(-5 * x));
}

TEST_CASE("calls that follow each other and have no numbers are told apart or are no layers", "[exported_program]") {
  const auto unary = [](const std::string& name, const std::string& from, const std::string& to,
                        const std::string& stack) {
    return node("aten." + name + ".default", {{"self", tensor(from)}}, {tensor(to)}, stack);
  };
  ProgramFile file;
  file.schema = 7;  // PyTorch 2.5
  file.outputs = {tensor("d")};
  file.nodes = {unary("tanh", "x", "a", "encoder;encoder.act"), unary("neg", "a", "b", "encoder;encoder.turn"),
                unary("tanh", "x", "c", "encoder;encoder.act"), unary("neg", "c", "d", "encoder;encoder.turn")};
  sg::ExportedProgram twice = load(file);
  CHECK(twice.layers() == std::vector<std::string>{"encoder.act", "encoder.turn"});
  size_t heard = 0;
  const at::Tensor x = at::rand({2, 3});
  const sg::ForwardHook hook(twice, "encoder.act", [&](const sg::Layer&, const at::Tensor&, const at::Tensor& output) {
    heard += output.equal(x.tanh()) ? 1 : 0;
  });
  twice.forward({x});
  CHECK(heard == 2);

  // One call of a block whose activation runs twice.
  file.nodes = {unary("tanh", "x", "a", "block;block.act"), unary("neg", "a", "b", "block;block.one"),
                unary("tanh", "b", "c", "block;block.act"), unary("neg", "c", "d", "block;block.two")};
  CHECK(load(file).layers() == std::vector<std::string>{"block", "block.act", "block.one", "block.two"});
}

TEST_CASE("where one of a layer's calls cannot be told apart, it is no layer", "[exported_program]") {
  ProgramFile file;
  file.schema = 7;
  file.outputs = {tensor("d")};
  file.nodes = {node("aten.tanh.default", {{"self", tensor("x")}}, {tensor("a")}, "act"),
                node("aten.neg.default", {{"self", tensor("a")}}, {tensor("b")}, "turn"),
                node("aten.tanh.default", {{"self", tensor("b")}}, {tensor("c")}, "act"),
                node("aten.tanh.default", {{"self", tensor("c")}}, {tensor("d")}, "act")};
  CHECK(load(file).layers() == std::vector<std::string>{"turn"});
}

namespace {

/// x * gate(x), and the gate, which leave the module `att`.
ProgramFile gated() {
  ProgramFile file;
  file.nodes = {node("aten.sigmoid.default", {{"self", tensor("x")}}, {tensor("gate")}, "att"),
                node("aten.mul.Tensor", {{"self", tensor("x")}, {"other", tensor("gate")}}, {tensor("scaled")}, "att"),
                node("aten.add.Tensor", {{"self", tensor("scaled")}, {"other", tensor("gate")}}, {tensor("add")})};
  file.outputs = {tensor("add")};
  return file;
}

/// What the layer gives first.
at::Tensor first_of(sg::ExportedProgram program, const std::string& layer, const at::Tensor& x) {
  const sg::Capture capture(sg::layer(program, layer));
  program.forward({x});
  return capture.output();
}

sg::ExportedProgram load(const ProgramFile& file, const Json& program) {
  const support::Folder folder;
  return sg::ExportedProgram::load(support::write_bytes(folder / "net.pt2", file.bytes(program.dump())));
}

}  // namespace

TEST_CASE("of what leaves a module, what it makes last is its first output unless the file tells it",
          "[exported_program]") {
  const ProgramFile file = gated();
  const at::Tensor x = at::rand({2, 3});
  CHECK(first_of(load(file), "att", x).allclose(x * x.sigmoid()));

  Json told = file.program();
  told["graph_module"]["module_call_graph"].push_back(
      {{"fqn", "att"}, {"signature", {{"outputs", Json::array({tensor("gate"), tensor("scaled")})}}}});
  CHECK(first_of(load(file, told), "att", x).allclose(x.sigmoid()));
}

TEST_CASE("what a module was given and what only has another name is not what it gives", "[exported_program]") {
  // A norm that begins with x.to(float32): outside, x is known by that name from then on.
  ProgramFile file;
  const Json to_float = {{"as_scalar_type", 7}};
  file.nodes = {node("aten.to.dtype", {{"self", tensor("x")}, {"dtype", to_float}}, {tensor("to")}, "norm"),
                node("aten.neg.default", {{"self", tensor("to")}}, {tensor("neg")}, "norm"),
                node("aten.relu.default", {{"self", tensor("to")}}, {tensor("relu")}),
                node("aten.add.Tensor", {{"self", tensor("relu")}, {"other", tensor("neg")}}, {tensor("add")})};
  file.outputs = {tensor("add")};
  Json program = file.program();
  program["graph_module"]["graph"]["tensor_values"]["to"] = support::meta(file.x_sizes);
  const at::Tensor x = at::randn({2, 3});
  sg::ExportedProgram loaded = load(file, program);
  CHECK(loaded.forward({x}).toTensor().allclose(x.relu() - x));
  const sg::Capture norm(sg::layer(loaded, "norm"));
  loaded.forward({x});
  CHECK(norm.outputs().size() == 1);
  CHECK(norm.output().equal(-x));
}

TEST_CASE("a parameter that an operation gives back as it is hinders no hook", "[exported_program]") {
  ProgramFile file;
  file.parameters = {{"scale", at::full({3}, 2.0f)}};
  const Json to_float = {{"as_scalar_type", 7}};
  file.nodes = {node("aten.relu.default", {{"self", tensor("x")}}, {tensor("relu")}, "act"),
                node("aten.to.dtype", {{"self", tensor("p_scale")}, {"dtype", to_float}}, {tensor("to")}),
                node("aten.mul.Tensor", {{"self", tensor("relu")}, {"other", tensor("to")}}, {tensor("mul")})};
  file.outputs = {tensor("mul")};
  const at::Tensor x = at::randn({2, 3});
  CHECK(first_of(load(file), "act", x).equal(x.relu()));
}
