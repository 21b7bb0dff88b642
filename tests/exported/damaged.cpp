// Files that somebody damaged, by chance or on purpose: each is loaded, or refused by one error of ours.
// SIGHTGLASS_FUZZ_SECONDS: how long (CI: a minute under the sanitizers); else a few hundred files.

#include <sightglass/exported.hpp>

#include <array>
#include <chrono>
#include <cstdlib>
#include <random>
#include <string>

#include "support/data/programs.hpp"
#include "support/harness/catch.hpp"

namespace sg = sightglass;
using support::Json;
using support::node;
using support::ProgramFile;
using support::tensor;

namespace {

/// A program with one thing of each kind.
ProgramFile seed() {
  const Json graph = {{"inputs", Json::array({tensor("y")})},
                      {"nodes", {node("aten.neg.default", {{"self", tensor("y")}}, {tensor("z")})}},
                      {"outputs", Json::array({tensor("z")})},
                      {"tensor_values", Json::object()}};
  const Json branch = {{"as_graph", {{"name", "g"}, {"graph", graph}}}};
  ProgramFile file;
  file.x_sizes = Json::array({support::symbol("Symbol('s0', positive=True)"), {{"as_int", 3}}});
  file.ranges = {{"s0", {{"min_val", 2}, {"max_val", 64}}}};
  file.parameters = {{"fc.weight", at::ones({3, 3})}};
  file.buffers = {{"fc.count", at::ones({2}, at::kLong)}};
  file.constants = {{"lifted", at::ones({3})}};
  Json twice = node("", {{"a", support::size("n")}, {"b", {{"as_int", 2}}}}, {support::size("m")});
  twice["target"] = "_operator.mul";
  file.nodes = {
      node("aten.sym_size.int", {{"self", tensor("x")}, {"dim", {{"as_int", 0}}}}, {support::size("n")}),
      twice,
      node("aten.linear.default",
           {{"input", tensor("x")}, {"weight", tensor("p_fc.weight")}, {"bias", tensor("c_lifted")}}, {tensor("l")},
           "block;block.fc"),
      node("aten.split.Tensor", {{"self", tensor("l")}, {"split_size", {{"as_int", 1}}}, {"dim", {{"as_int", 1}}}},
           {{{"as_tensors", Json::array({{{"name", "a"}}, {{"name", "b"}}, {{"name", "c"}}})}}}, "block"),
      node("aten.cat.default",
           {{"tensors", {{"as_tensors", Json::array({{{"name", "a"}}, {{"name", "c"}}})}}}, {"dim", {{"as_int", 1}}}},
           {tensor("d")}, "block;block.act@1"),
      node("aten.sum.default", {{"self", tensor("d")}}, {tensor("sum")}),
      node("higher_order.cond",
           {{"", tensor("sum")}, {"", branch}, {"", branch}, {"", {{"as_tensors", Json::array({{{"name", "d"}}})}}}},
           {tensor("e")})};
  file.nodes.push_back(node("aten.add.Tensor", {{"self", tensor("b_fc.count")}, {"other", {{"as_int", 1}}}},
                            {tensor("more")}, "block;block.fc@1"));
  file.nodes.push_back(
      node("aten.clamp.default", {{"self", tensor("e")}, {"min", {{"as_float", "-Infinity"}}}}, {tensor("f")}));
  file.written = Json::array({{{"buffer_mutation", {{"arg", {{"name", "more"}}}, {"buffer_name", "fc.count"}}}}});
  file.outputs = {tensor("f")};
  return file;
}

/// Something in a value, by chance.
Json& anywhere(Json& value, std::mt19937& chance) {
  Json* at = &value;
  while (at->is_structured() && !at->empty() && chance() % 8 != 0) {
    auto item = at->begin();
    std::advance(item, static_cast<std::ptrdiff_t>(chance() % at->size()));
    at = &*item;
  }
  return *at;
}

Json other_value(std::mt19937& chance) {
  switch (chance() % 10) {
    case 0:
      return Json();
    case 1:
      return -1;
    case 2:
      return int64_t{1} << 62;
    case 3:
      return 1e300;
    case 4:
      return "";
    case 5:
      return std::string(3000, '.');
    case 6:
      return Json::array();
    case 7:
      return Json::object();
    case 8:
      return {{"as_int", 7}};
    default:
      return {{"as_tensor", {{"name", "x"}}}};
  }
}

std::string damaged(ProgramFile file, std::mt19937& chance) {
  constexpr std::array<support::Layout, 3> layouts{support::Layout::folders, support::Layout::files_in_folders,
                                                   support::Layout::files};
  file.layout = layouts.at(chance() % layouts.size());
  file.schema = chance() % 4 == 0 ? 7 : 8;
  if (chance() % 4 != 0) {
    Json program = file.program();
    for (size_t changes = 1 + chance() % 3; changes > 0; --changes) {
      Json& place = anywhere(program, chance);
      if (chance() % 3 == 0)
        place = Json(anywhere(program, chance));
      else
        place = other_value(chance);
    }
    std::string text = program.dump();
    if (chance() % 4 == 0) text.replace(chance() % text.size(), chance() % 4, "NaN");
    return file.bytes(text);
  }
  std::string bytes = file.bytes();
  for (size_t changes = 1 + chance() % 4; changes > 0; --changes)
    bytes[chance() % bytes.size()] = static_cast<char>(chance());
  return chance() % 4 == 0 ? bytes.substr(0, chance() % bytes.size()) : bytes;
}

/// What is loaded runs, or throws.
bool runs(sg::ExportedProgram& program) {
  try {
    program.forward({at::ones({2, 3})});
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

}  // namespace

TEST_CASE("damaged exported programs are refused by an error that names the file, or run") {
  const char* const seconds = std::getenv("SIGHTGLASS_FUZZ_SECONDS");
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds == nullptr ? 0 : std::atoi(seconds));
  const support::Folder folder;
  const ProgramFile file = seed();
  sg::ExportedProgram whole = sg::ExportedProgram::load(support::write_bytes(folder / "whole.pt2", file.bytes()));
  REQUIRE(runs(whole));
  std::mt19937 chance(seconds == nullptr ? 1 : static_cast<unsigned>(std::time(nullptr)));
  size_t tried = 0, refused = 0, ran = 0;
  for (; tried < 300 || std::chrono::steady_clock::now() < end; ++tried) {
    const std::string path = support::write_bytes(folder / "damaged.pt2", damaged(file, chance));
    try {
      sg::ExportedProgram program = sg::ExportedProgram::load(path);
      ran += runs(program) ? 1 : 0;
    } catch (const c10::Error& error) {
      const std::string what = error.what_without_backtrace();
      if (what.find("damaged.pt2\": ") == std::string::npos) FAIL_CHECK("it does not name the file: " << what);
      ++refused;
    }
  }
  std::cout << "measured: of " << tried << " damaged programs " << refused << " were refused, " << ran << " ran"
            << std::endl;
  CHECK(refused > tried / 2);
  CHECK(ran > tried / 100);
}
