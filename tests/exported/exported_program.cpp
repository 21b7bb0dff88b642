#include "sightglass/exported/exported_program.hpp"

#include <sightglass/sightglass.hpp>
#include <torch/script.h>
#include <torch/torch.h>

#include <cmath>

#include "support/data/programs.hpp"
#include "support/harness/catch.hpp"

namespace sg = sightglass;
using support::Json;
using support::Layout;
using support::load;
using support::node;
using support::ProgramFile;
using support::run;
using support::small_program;
using support::tensor;

namespace {

const char* const with_keyword =
    R"([1, {"type": "builtins.tuple", "context": "null", "children_spec": [{"type": "builtins.tuple", "context": "null", "children_spec": [{"type": null, "context": null, "children_spec": []}]}, {"type": "builtins.dict", "context": "[\"mask\"]", "children_spec": [{"type": null, "context": null, "children_spec": []}]}]}])";
const char* const dictionary_out =
    R"([1, {"type": "builtins.dict", "context": "[\"sum\", \"parts\"]", "children_spec": [{"type": null, "context": null, "children_spec": []}, {"type": "builtins.list", "context": "null", "children_spec": [{"type": null, "context": null, "children_spec": []}, {"type": null, "context": null, "children_spec": []}]}]}])";

}  // namespace

TEST_CASE("an exported program runs, has layers and names of its weights", "[exported_program]") {
  sg::ExportedProgram program = load(small_program());
  const at::Tensor x = at::tensor({-1.0f, 2.0f, 3.0f, 1.0f, -2.0f, 0.5f}).view({2, 3});
  // relu: 0 2 3; 1 0 0.5. Rows of the weight: 0 1 2; 3 4 5.
  CHECK(program.forward({x}).toTensor().allclose(at::tensor({9.0f, 24.0f, 2.0f, 6.5f}).view({2, 2})));
  CHECK(program.layers() == std::vector<std::string>{"block", "block.act", "fc"});
  CHECK_THROWS_WITH(sg::layer(program, "block.drop"), ContainsSubstring("no such submodule of the exported program, "
                                                                        "which lacks those that ran no operation"));
  CHECK(program.version() == "2.13.0");
  CHECK(program.named_parameters().keys() == std::vector<std::string>{"fc.weight", "fc.bias"});
  CHECK(program.named_parameters()["fc.bias"].requires_grad());
  CHECK(program.named_buffers().is_empty());
}

TEST_CASE("a module that ran under another name is refused under its own", "[exported_program]") {
  ProgramFile file = small_program();
  file.nodes[1]["metadata"]["nn_module_stack"] = "L__self__,,net.Net;L__net,net,net.Part;L__net.0,net.0,net.Part";
  sg::ExportedProgram program = load(file);
  CHECK(program.layers().back() == "net.0");
  CHECK_THROWS_WITH(sg::layer(program, "fc"), ContainsSubstring("it has its weights, and a module of two names"));
}

TEST_CASE("layers of an exported program are watched in the user's own calls", "[exported_program]") {
  sg::ExportedProgram program = load(small_program());
  const at::Tensor x = at::tensor({-1.0f, 2.0f, 3.0f, 1.0f, -2.0f, 0.5f}).view({2, 3});
  for (const bool ran_before : {false, true}) {
    if (ran_before) program.forward({x});
    const sg::Capture act(sg::layer(program, "block.act")), fc(sg::layer(program, "fc"));
    program.forward({x});
    CHECK(act.output().equal(x.relu()));
    CHECK(act.input().equal(x));
    CHECK(fc.input().equal(x.relu()));
  }
  const auto listed = sg::layers(sg::Model(program), x);
  CHECK(listed.size() == 3);
}

TEST_CASE("what an exported program trains is what the formula says", "[exported_program]") {
  sg::ExportedProgram program = load(small_program());
  const at::Tensor x = at::tensor({-1.0f, 2.0f, 3.0f, 1.0f, -2.0f, 0.5f}).view({2, 3});
  std::vector<at::Tensor> parameters;
  for (const auto& item : program.named_parameters()) parameters.push_back(item.value());
  torch::optim::SGD optimiser(parameters, 0.5);
  program.forward({x}).toTensor().sum().backward();
  optimiser.step();
  // d sum / d weight[i][j] = sum over the batch of relu(x)[.][j] = 1 2 3.5; d sum / d bias = 2
  const at::Tensor wanted = at::arange(6, at::kFloat).view({2, 3}) - 0.5 * at::tensor({1.0f, 2.0f, 3.5f});
  CHECK(program.named_parameters()["fc.weight"].allclose(wanted));
  CHECK(program.named_parameters()["fc.bias"].allclose(at::zeros({2})));
  CHECK_THROWS_WITH(program.train(), ContainsSubstring("was exported in evaluation mode"));
  CHECK_NOTHROW(program.eval());
}

TEST_CASE("weights are loaded over an exported program's", "[exported_program]") {
  sg::ExportedProgram program = load(small_program());
  sg::StateDict state;
  state.insert("fc.weight", at::ones({2, 3}));
  CHECK_THROWS_WITH(sg::load_state_dict(program, state), ContainsSubstring("missing in the file: \"fc.bias\""));
  state.insert("fc.bias", at::zeros({2}));
  sg::load_state_dict(program, state);
  CHECK(program.forward({at::ones({2, 3})}).toTensor().equal(at::full({2, 2}, 3.0f)));
}

TEST_CASE("an exported program is saved as TorchScript, which LibTorch reads alone", "[exported_program]") {
  const sg::ExportedProgram program = load(small_program());
  const support::Folder folder;
  program.save(folder / "net.pt");
  const at::Tensor x = at::rand({2, 3});
  torch::jit::Module script = torch::jit::load(folder / "net.pt");
  CHECK(script.forward({x}).toTensor().equal(sg::ExportedProgram(program).forward({x}).toTensor()));
}

TEST_CASE("a program's tensors are converted, and moved with what it makes", "[exported_program]") {
  ProgramFile file = small_program();
  file.nodes.push_back(
      node("aten.ones.default",
           {{"size", {{"as_ints", {2, 2}}}}, {"device", {{"as_device", {{"type", "cuda"}, {"index", 0}}}}}},
           {tensor("ones")}));
  file.nodes.push_back(
      node("aten.add.Tensor", {{"self", tensor("linear")}, {"other", tensor("ones")}}, {tensor("add")}));
  file.outputs = {tensor("add")};
  sg::ExportedProgram program = load(file);  // exported on a GPU, loaded on the CPU
  const at::Tensor x = at::rand({2, 3});
  CHECK(program.forward({x}).toTensor().allclose(run(small_program(), x) + 1));
  program.to(at::kCPU, at::kDouble);
  CHECK(program.forward({x.to(at::kDouble)}).toTensor().scalar_type() == at::kDouble);
}

TEST_CASE("inputs that the export has fixed otherwise are refused by name", "[exported_program]") {
  ProgramFile file = small_program();
  file.x_sizes = Json::array({support::symbol("Symbol('s0', positive=True, integer=True)"), {{"as_int", 3}}});
  file.ranges = {{"s0", {{"min_val", 2}, {"max_val", 4}}}};
  sg::ExportedProgram program = load(file);
  CHECK(program.input_sizes() == std::vector<std::vector<int64_t>>{{-1, 3}});
  CHECK(program.forward({at::rand({1, 3})}).toTensor().size(0) == 1);  // Python takes it, too
  CHECK(program.forward({at::rand({4, 3})}).toTensor().size(0) == 4);
  CHECK_THROWS_WITH(program.forward({at::rand({5, 3})}),
                    ContainsSubstring("input \"x\": its size in dimension 0 is 5, and the program takes 4 at most"));
  CHECK_THROWS_WITH(program.forward({at::rand({2, 4})}),
                    ContainsSubstring("dimension 1 is 4, and the program was exported for 3 only"));
  CHECK_THROWS_WITH(program.forward({at::rand({3})}), ContainsSubstring("it has 1 dimensions"));
}

TEST_CASE("a program of a fixed batch is run part by part where a method or a metric has more rows",
          "[exported_program]") {
  torch::manual_seed(0);
  ProgramFile file;
  file.parameters = {{"conv.weight", at::randn({4, 3, 3, 3})}, {"fc.weight", at::randn({5, 4})}};
  file.nodes = {node("aten.conv2d.default", {{"input", tensor("x")}, {"weight", tensor("p_conv.weight")}},
                     {tensor("conv")}, "conv"),
                node("aten.mean.dim", {{"self", tensor("conv")}, {"dim", {{"as_ints", {2, 3}}}}}, {tensor("mean")}),
                node("aten.linear.default", {{"input", tensor("mean")}, {"weight", tensor("p_fc.weight")}},
                     {tensor("linear")}, "fc")};
  file.outputs = {tensor("linear")};
  for (const int64_t batch : {1, 2}) {
    file.x_sizes = support::sizes({batch, 3, 8, 8});
    const sg::Model fixed(load(file));
    file.x_sizes[0] = support::symbol("Symbol('s0')", 16);
    CHECK(load(file).example_sizes().front() == std::vector<int64_t>{16, 3, 8, 8});
    const sg::Model open(load(file));
    CHECK(fixed.fixed_batch() == batch);
    CHECK(open.fixed_batch() == 0);
    CHECK(load(file).input_sizes().front() == std::vector<int64_t>{-1, 3, 8, 8});
    const at::Tensor x = at::rand({batch, 3, 8, 8});
    const auto same = [&](const auto& method) {
      return sg::explain(fixed, x, "conv", method)
          .map()
          .allclose(sg::explain(open, x, "conv", method).map(), 1e-4, 1e-6);
    };
    CHECK(same(sg::AblationCam{}));
    CHECK(same(sg::ScoreCam{}));
    CHECK(same(sg::ReciproCam{}));
    const auto map = sg::explain(open, x, "conv", sg::GradCam{});
    CHECK(sg::insertion_deletion(fixed, x, map).insertion.allclose(sg::insertion_deletion(open, x, map).insertion));
  }
}

TEST_CASE("sizes that go with others are checked", "[exported_program]") {
  ProgramFile file;
  file.nodes = {node("aten.sum.default", {{"self", tensor("x")}}, {tensor("sum")})};
  file.outputs = {tensor("sum")};
  file.x_sizes = Json::array({support::symbol("Symbol('s0', positive=True, integer=True)"),
                              support::symbol("Add(Mul(Integer(4), Symbol('s1', positive=True)), Integer(1))"),
                              support::symbol("Symbol('s0', positive=True, integer=True)")});
  sg::ExportedProgram program = load(file);
  CHECK_NOTHROW(program.forward({at::rand({2, 9, 2})}));
  CHECK_THROWS_WITH(program.forward({at::rand({2, 10, 2})}), ContainsSubstring("multiples of 4 and 1 more"));
  CHECK_THROWS_WITH(program.forward({at::rand({2, 9, 3})}), ContainsSubstring("dimension 2 is 3, and does not fit"));
}

TEST_CASE("programs compute with sizes", "[exported_program]") {
  ProgramFile file;
  file.x_sizes = Json::array({support::symbol("Symbol('s0', positive=True, integer=True)"), {{"as_int", 4}}});
  Json doubled = node("", {{"a", support::size("n")}, {"b", {{"as_int", 2}}}}, {support::size("twice")});
  doubled["target"] = "_operator.mul";
  file.nodes = {
      node("aten.sym_size.int", {{"self", tensor("x")}, {"dim", {{"as_int", 0}}}}, {support::size("n")}), doubled,
      node("aten.view.default",
           {{"self", tensor("x")}, {"size", {{"as_sym_ints", Json::array({{{"as_name", "twice"}}, {{"as_int", 2}}})}}}},
           {tensor("view")}, "flat")};
  file.outputs = {tensor("view")};
  CHECK(run(file, at::rand({3, 4})).sizes().vec() == std::vector<int64_t>{6, 2});
}

TEST_CASE("attention is computed, on a LibTorch without it too", "[exported_program]") {
  torch::manual_seed(0);
  const at::Tensor x = at::randn({2, 3, 4}), key = at::randn({2, 3, 4}), added = at::randn({3, 3});
  ProgramFile file;
  file.x_sizes = support::sizes({2, 3, 4});
  file.constants = {{"key", key}, {"added", added}};
  const auto attended = [&](const std::vector<std::pair<std::string, Json>>& more) {
    std::vector<std::pair<std::string, Json>> inputs{
        {"query", tensor("x")}, {"key", tensor("c_key")}, {"value", tensor("x")}};
    inputs.insert(inputs.end(), more.begin(), more.end());
    file.nodes = {node("aten.ge.Scalar", {{"self", tensor("c_added")}, {"other", {{"as_int", 0}}}}, {tensor("seen")}),
                  node("aten.scaled_dot_product_attention.default", inputs, {tensor("y")}, "attention")};
    file.outputs = {tensor("y")};
    return run(file, x);
  };
  const auto formula = [&](const at::Tensor& scores) { return scores.softmax(-1).matmul(x); };
  const at::Tensor scores = x.matmul(key.transpose(-2, -1)), half = scores / 2;  // 1 / sqrt(4)
  CHECK(attended({}).allclose(formula(half), 1e-4, 1e-6));
  CHECK(attended({{"scale", {{"as_float", 0.3}}}}).allclose(formula(scores * 0.3), 1e-4, 1e-6));
  CHECK(attended({{"attn_mask", tensor("c_added")}}).allclose(formula(half + added), 1e-4, 1e-6));
  const auto hiding = [&](const at::Tensor& hidden) { return half.masked_fill(hidden, -INFINITY); };
  CHECK(attended({{"is_causal", {{"as_bool", true}}}})
            .allclose(formula(hiding(at::ones({3, 3}).triu(1).to(at::kBool))), 1e-4, 1e-6));
  added.fill_diagonal_(1);  // each looks at something
  CHECK(attended({{"attn_mask", tensor("seen")}}).allclose(formula(hiding(added < 0)), 1e-4, 1e-6));
}

TEST_CASE("a number stands before a tensor, and a range ends nowhere", "[exported_program]") {
  ProgramFile file;
  file.x_sizes[0] = support::symbol("Symbol('s0')");
  file.ranges = {{"s0", {{"min_val", 2}, {"max_val", "Infinity"}}}};
  file.nodes = {
      node("aten.sub.Tensor", {{"self", {{"as_int", 29}}}, {"other", tensor("x")}}, {tensor("sub")}),
      node("aten.div.Tensor", {{"self", {{"as_float", 1.5}}}, {"other", tensor("sub")}}, {tensor("div")}),
  };
  file.outputs = {tensor("div")};
  const at::Tensor x = at::rand({5, 3});
  CHECK(run(file, x).allclose(1.5 / (29 - x)));
  CHECK(run(file, x).scalar_type() == at::kFloat);
}

TEST_CASE("dictionaries go in and out of a program, and keyword arguments in", "[exported_program]") {
  ProgramFile file;
  file.user_inputs = Json::array({tensor("x"), tensor("m")});
  file.in_spec = support::two_leaves;
  file.nodes = {node("aten.add.Tensor", {{"self", tensor("x")}, {"other", tensor("m")}}, {tensor("add")}),
                node("aten.mul.Tensor", {{"self", tensor("x")}, {"other", {{"as_int", 3}}}}, {tensor("mul")})};
  file.outputs = {tensor("add"), tensor("mul"), tensor("x")};
  file.out_spec = dictionary_out;
  const at::Tensor x = at::rand({2, 3}), m = at::rand({2, 3});
  c10::Dict<std::string, at::Tensor> given;
  given.insert("image", x);
  given.insert("mask", m);
  sg::ExportedProgram program = load(file);
  const auto outputs = program.forward({given}).toGenericDict();
  CHECK(outputs.at("sum").toTensor().equal(x + m));
  CHECK(outputs.at("parts").toListRef().at(0).toTensor().equal(x * 3));
  CHECK(outputs.at("parts").toListRef().at(1).toTensor().equal(x));
  file.in_spec = with_keyword;
  sg::ExportedProgram named = load(file);
  CHECK(named.forward({x}, {{"mask", m}}).toGenericDict().at("sum").toTensor().equal(x + m));
}

TEST_CASE("branches and loops of a program run", "[exported_program]") {
  const auto inner = [](const Json& inputs, const std::vector<Json>& nodes, const std::string& output) {
    return Json{{"as_graph",
                 {{"name", "g"},
                  {"graph",
                   {{"inputs", inputs},
                    {"nodes", nodes},
                    {"outputs", Json::array({tensor(output)})},
                    {"tensor_values", Json::object()}}}}}};
  };
  const Json takes = Json::array({tensor("y")});
  const auto times = [](int64_t factor) {
    return node("aten.mul.Tensor", {{"self", tensor("y")}, {"other", {{"as_int", factor}}}}, {tensor("z")});
  };
  const Json operands = {{"as_tensors", Json::array({{{"name", "x"}}})}};
  ProgramFile file;
  file.nodes = {node("aten.sum.default", {{"self", tensor("x")}}, {tensor("sum")}),
                node("aten.gt.Scalar", {{"self", tensor("sum")}, {"other", {{"as_int", 0}}}}, {tensor("positive")}),
                node("higher_order.cond",
                     {{"", tensor("positive")},
                      {"", inner(takes, {times(2)}, "z")},
                      {"", inner(takes, {times(-3)}, "z")},
                      {"", operands}},
                     {tensor("cond")})};
  file.outputs = {tensor("cond")};
  CHECK(run(file, at::ones({2, 3})).equal(at::full({2, 3}, 2.0f)));
  CHECK(run(file, -at::ones({2, 3})).equal(at::full({2, 3}, 3.0f)));

  const Json below =
      inner(takes,
            {node("aten.sum.default", {{"self", tensor("y")}}, {tensor("s")}),
             node("aten.lt.Scalar", {{"self", tensor("s")}, {"other", {{"as_int", 100}}}}, {tensor("z")})},
            "z");
  file.nodes = {
      node("higher_order.while_loop",
           {{"", below}, {"", inner(takes, {times(2)}, "z")}, {"", operands}, {"", {{"as_tensors", Json::array()}}}},
           {{{"as_tensors", Json::array({{{"name", "loop"}}})}}})};
  file.outputs = {tensor("loop")};
  CHECK(run(file, at::ones({2, 3})).equal(at::full({2, 3}, 32.0f)));  // 6, 12, 24, 48, 96, 192

  file.nodes = {node("higher_order.map_impl", {{"", tensor("x")}}, {tensor("loop")})};
  CHECK_THROWS_WITH(load(file),
                    ContainsSubstring("torch.ops.higher_order.map_impl\": is an operation that holds graphs"));
}
