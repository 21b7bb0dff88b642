// What stands in files: layouts, versions, names, and what cannot be read.

#include "sightglass/exported/detail/program_archive.hpp"

#include <sightglass/exported.hpp>
#include <torch/script.h>

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

TEST_CASE("numbers that JSON does not have are read, quoted or not", "[exported_program]") {
  ProgramFile file;
  file.nodes = {node("aten.clamp.default",
                     {{"self", tensor("x")}, {"min", {{"as_float", "-Infinity"}}}, {"max", {{"as_float", 0.5}}}},
                     {tensor("clamp")}, "NaN;NaN.Infinity"),
                node("aten.nan_to_num.default", {{"self", tensor("clamp")}, {"nan", {{"as_float", "NaN"}}}},
                     {tensor("same")}, "say \"NaN")};
  file.outputs = {tensor("same")};
  std::string text = file.program().dump();
  const at::Tensor x = at::rand({2, 3});
  CHECK(run(file, x).equal(x.clamp_max(0.5)));
  for (const std::string number : {"-Infinity", "NaN"}) {  // as PyTorch 2.5 writes them
    const size_t place = text.find(":\"" + number + "\"");
    REQUIRE(place != std::string::npos);
    text.replace(place, number.size() + 3, ":" + number);
  }
  const support::Folder folder;
  sg::ExportedProgram program = sg::ExportedProgram::load(support::write_bytes(folder / "net.pt2", file.bytes(text)));
  CHECK(program.forward({x}).toTensor().equal(x.clamp_max(0.5)));
  CHECK(program.layers().at(1) == "NaN.Infinity");
}

TEST_CASE("files of all layouts are read", "[exported_program]") {
  ProgramFile file = small_program();
  file.constants = {{"lifted", at::full({2}, 0.5f)}};
  file.nodes.push_back(
      node("aten.add.Tensor", {{"self", tensor("linear")}, {"other", tensor("c_lifted")}}, {tensor("moved")}));
  file.outputs = {tensor("moved")};
  const at::Tensor x = at::tensor({-1.0f, 2.0f, 3.0f, 1.0f, -2.0f, 0.5f}).view({2, 3});
  for (const auto layout : {Layout::folders, Layout::files_in_folders, Layout::files}) {
    file.layout = layout;
    CHECK(run(file, x).allclose(at::tensor({9.5f, 24.5f, 2.5f, 7.0f}).view({2, 2})));
  }
}

TEST_CASE("parameters are trained unless the file says otherwise, which it does from PyTorch 2.5 on",
          "[exported_program]") {
  ProgramFile file = small_program();
  Json program = file.program();
  program["graph_module"]["graph"]["tensor_values"]["p_fc.weight"]["requires_grad"] = false;
  const auto trained = [&](int64_t schema) {
    program["schema_version"]["major"] = schema;
    const support::Folder folder;
    const std::string path = support::write_bytes(folder / "net.pt2", file.bytes(program.dump()));
    return sg::ExportedProgram::load(path).named_parameters()["fc.weight"].requires_grad();
  };
  CHECK_FALSE(trained(8));
  CHECK_FALSE(trained(7));
  CHECK(trained(5));
}

TEST_CASE("a tensor under two names is one, and is trained as one", "[exported_program]") {
  ProgramFile file;
  const at::Tensor weight = at::rand({3, 3});
  file.parameters = {{"a.weight", weight}, {"b.weight", weight}};
  file.nodes = {
      node("aten.matmul.default", {{"self", tensor("x")}, {"other", tensor("p_a.weight")}}, {tensor("one")}, "a"),
      node("aten.matmul.default", {{"self", tensor("one")}, {"other", tensor("p_b.weight")}}, {tensor("two")}, "b")};
  file.outputs = {tensor("two")};
  const auto check = [&](const std::string& bytes) {
    const support::Folder folder;
    sg::ExportedProgram program = sg::ExportedProgram::load(support::write_bytes(folder / "tied.pt2", bytes));
    CHECK(program.named_parameters()["a.weight"].is_same(program.named_parameters()["b.weight"]));
    CHECK(program.state_dict().size() == 2);
    const at::Tensor x = at::rand({2, 3});
    CHECK(program.forward({x}).toTensor().allclose(x.matmul(weight).matmul(weight)));
    CHECK(program.layers() == std::vector<std::string>{"a", "b"});
  };
  std::string bytes = file.bytes();
  const std::string second = "weights_1\"";  // the second name points to the first one's bytes
  bytes.replace(bytes.find("path_name\":\"weights_1\"") + 12, second.size(), "weights_0\"");
  check(bytes);

  // Before PyTorch 2.8 the program has one name for both, and the state dict two.
  file.layout = Layout::files;
  std::string text = file.program().dump();
  const std::string first = "\"parameter_name\":\"a.weight\"";
  REQUIRE(text.find(first) != std::string::npos);
  text.replace(text.find(first), first.size(), "\"parameter_name\":\"b.weight\"");
  check(file.bytes(text));
}

TEST_CASE("what a file cannot be read for is said in one line with its name", "[exported_program]") {
  const support::Folder folder;
  const auto why = [&](const std::string& bytes) {
    try {
      sg::ExportedProgram::load(support::write_bytes(folder / "bad.pt2", bytes));
    } catch (const c10::Error& error) {
      return std::string(error.what_without_backtrace());
    }
    return std::string("loaded");
  };
  CHECK_THROWS_WITH(sg::ExportedProgram::load(folder / "none.pt2"), ContainsSubstring("none.pt2\": no such file"));
  CHECK_THAT(why("text"), ContainsSubstring("is a text, expected an exported program"));
  const std::string whole = small_program().bytes();
  CHECK_THAT(why(whole.substr(0, whole.size() / 2)), ContainsSubstring("truncated"));
  CHECK_THAT(why(small_program().bytes("{\"graph_module\": [")), ContainsSubstring("is no JSON"));
  CHECK_THAT(why(small_program().bytes(std::string(200000, '['))), ContainsSubstring("is no JSON"));
  CHECK_THAT(why(small_program().bytes("{}")), ContainsSubstring("schema_version"));

  ProgramFile file = small_program();
  file.schema = 9;
  CHECK_THAT(why(file.bytes()), ContainsSubstring("is of a newer format (schema 9"));
  file = small_program();
  file.nodes[0]["target"] = "torch.ops.aten.no_such_operation.default";
  CHECK_THAT(why(file.bytes()),
             ContainsSubstring("operation \"torch.ops.aten.no_such_operation.default\": it is not in LibTorch"));
  file = small_program();
  file.nodes[0]["inputs"][0]["arg"] = tensor("linear");  // a circle
  CHECK_THAT(why(file.bytes()), ContainsSubstring("reads \"linear\", which nothing makes before"));
  file = small_program();
  file.nodes[0]["inputs"][0]["arg"] = {{"as_string", "x"}};
  CHECK_THAT(why(file.bytes()), ContainsSubstring("its arguments do not fit aten::relu"));
  file = small_program();
  file.nodes[1]["outputs"][0] = tensor("relu");
  CHECK_THAT(why(file.bytes()), ContainsSubstring("makes \"relu\" twice"));
  Json program = small_program().program();
  program["graph_module"]["module_call_graph"][0]["signature"]["out_spec"] = support::two_leaves;
  CHECK_THAT(why(small_program().bytes(program.dump())), ContainsSubstring("its call specification"));
  std::string larger = whole;
  larger.replace(larger.find("{\"as_int\":2}", larger.find("weights_config")), 12, "{\"as_int\":9}");
  CHECK_THAT(why(larger), ContainsSubstring("leaves its storage"));
}
