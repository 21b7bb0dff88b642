#include "sightglass/weights/load_state_dict.hpp"

#include <torch/torch.h>

#include "support/harness/catch.hpp"
#include "support/data/torch_files.hpp"

namespace sg = sightglass;
using support::Folder;

namespace {

torch::nn::Sequential net(int64_t classes = 2) {
  return torch::nn::Sequential(torch::nn::Conv2d(3, 4, 3), torch::nn::BatchNorm2d(4), torch::nn::Linear(4, classes));
}

struct OuterImpl : torch::nn::Module {
  torch::nn::Sequential body{register_module("body", net())};
};
TORCH_MODULE(Outer);

std::vector<at::Tensor> copies(const torch::nn::Module& module) {
  std::vector<at::Tensor> all;
  for (const auto& item : sg::state_dict(module)) all.push_back(item.value().detach().clone());
  return all;
}

bool equal(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const at::Tensor& x, const at::Tensor& y) { return at::equal(x, y); });
}

/// The state of another network, but for one entry.
sg::StateDict without(const sg::StateDict& state, const std::string& name) {
  sg::StateDict rest;
  for (const auto& item : state)
    if (item.key() != name) rest.insert(item.key(), item.value());
  return rest;
}

}  // namespace

TEST_CASE("a file's tensors are copied into a module by name", "[load_state_dict]") {
  const Folder folder;
  torch::nn::Sequential saved = net();
  saved->forward(torch::randn({2, 3, 4, 6}));  // running statistics, one batch tracked
  sg::save_state_dict(saved, folder / "state.pt");
  torch::nn::Sequential loaded = net();
  const at::Tensor weight = loaded->parameters()[0];
  const sg::LoadReport report = sg::load_state_dict(loaded, folder / "state.pt");
  CHECK(report.missing.empty());
  CHECK(report.unexpected.empty());
  CHECK(equal(copies(*loaded), copies(*saved)));
  CHECK(sg::state_dict(*loaded)["1.num_batches_tracked"].item<int64_t>() == 1);
  CHECK(weight.is_same(loaded->parameters()[0]));
  CHECK(weight.requires_grad());
  CHECK(weight.is_leaf());
  sg::load_state_dict(loaded.ptr(), folder / "state.pt");
  sg::load_state_dict(*loaded, sg::state_dict(*saved));
}

TEST_CASE("missing and unexpected names are an error with the nearest ones, and nothing is changed",
          "[load_state_dict]") {
  const torch::nn::Sequential module = net();
  const std::vector<at::Tensor> before = copies(*module);
  sg::StateDict state = without(sg::state_dict(*net()), "2.weight");
  state.insert("2.wieght", torch::zeros({2, 4}));
  CHECK_THROWS_WITH(sg::load_state_dict(module, state),
                    ContainsSubstring("missing in the file: \"2.weight\" (nearest: \"2.wieght\")") &&
                        ContainsSubstring("not in the module: \"2.wieght\" (nearest: \"2.weight\")") &&
                        ContainsSubstring("nothing was loaded"));
  CHECK(equal(copies(*module), before));

  const sg::LoadReport report =
      sg::load_state_dict(module, state, sg::LoadOptions().strictness(sg::Strictness::lenient));
  CHECK(report.missing == std::vector<std::string>{"2.weight"});
  CHECK(report.unexpected == std::vector<std::string>{"2.wieght"});
  CHECK(at::equal(sg::state_dict(*module)["0.weight"], state["0.weight"]));
}

TEST_CASE("shapes and types that differ are an error, lenient or not, and nothing is changed", "[load_state_dict]") {
  const torch::nn::Sequential module = net();
  const std::vector<at::Tensor> before = copies(*module);
  const sg::LoadOptions lenient = sg::LoadOptions().strictness(sg::Strictness::lenient);
  CHECK_THROWS_WITH(sg::load_state_dict(module, sg::state_dict(*net(5)), lenient),
                    ContainsSubstring("\"2.weight\" has shape [5, 4], expected [2, 4]"));
  sg::StateDict halves;
  for (const auto& item : sg::state_dict(*net()))
    halves.insert(item.key(), item.value().is_floating_point() ? item.value().to(at::kHalf) : item.value());
  CHECK_THROWS_WITH(sg::load_state_dict(module, halves, lenient),
                    ContainsSubstring("\"0.weight\" is of type Half, expected Float"));
  CHECK(equal(copies(*module), before));
  sg::load_state_dict(module, halves, sg::LoadOptions().type_mismatch(sg::TypeMismatch::converted));
  CHECK(at::equal(sg::state_dict(*module)["0.weight"], halves["0.weight"].to(at::kFloat)));
}

TEST_CASE("files from before batch norm counted its batches load strictly, as in Python", "[load_state_dict]") {
  const torch::nn::Sequential module = net();
  CHECK(sg::load_state_dict(module, without(sg::state_dict(*net()), "1.num_batches_tracked")).missing.empty());
  CHECK_THROWS_WITH(sg::load_state_dict(module, without(sg::state_dict(*net()), "1.running_mean")),
                    ContainsSubstring("\"1.running_mean\""));
}

TEST_CASE("a prefix of the file's names is left out", "[load_state_dict]") {
  const torch::nn::Sequential module = net();
  sg::StateDict state;
  for (const auto& item : sg::state_dict(*net())) state.insert("module." + item.key(), item.value());
  sg::load_state_dict(module, state, sg::LoadOptions().prefix("module."));
  CHECK(at::equal(sg::state_dict(*module)["0.weight"], state["module.0.weight"]));
  state.insert("0.weight", torch::zeros({1}));
  CHECK_THROWS_WITH(sg::load_state_dict(module, state, sg::LoadOptions().prefix("module.")),
                    ContainsSubstring("not in the module: \"0.weight\""));
}

TEST_CASE("where names differ by what they begin with, the error says so and its remedy works", "[load_state_dict]") {
  const torch::nn::Sequential module = net();
  sg::StateDict wrapped, twice;
  for (const auto& item : sg::state_dict(*net())) {
    wrapped.insert("module." + item.key(), item.value());
    twice.insert("student." + item.key(), item.value());
    twice.insert("teacher." + item.key(), item.value());
  }
  CHECK_THROWS_WITH(
      sg::load_state_dict(module, wrapped),
      ContainsSubstring("9 of 9 names are in the file behind \"module.\": LoadOptions().prefix(\"module.\")"));
  CHECK_THROWS_WITH(sg::load_state_dict(module, twice),
                    ContainsSubstring("prefix(\"student.\")") && ContainsSubstring("prefix(\"teacher.\")"));
  const Outer outer;
  const sg::StateDict inner = sg::state_dict(*net());
  CHECK_THROWS_WITH(sg::load_state_dict(outer, inner), ContainsSubstring("named_modules()[\"body\"]"));
  sg::load_state_dict(outer->named_modules()["body"], inner);
  CHECK(at::equal(sg::state_dict(*outer)["body.2.weight"], inner["2.weight"]));
}

TEST_CASE("entries that are no tensors are reported when lenient, and an error that names them when strict",
          "[load_state_dict]") {
  const Folder folder;
  const std::string weight = support::py_tensor(support::py_storage("FloatStorage", "0", 6), 0, {2, 3}, {3, 1});
  const std::string bias = support::py_tensor(support::py_storage("FloatStorage", "0", 6), 4, {2}, {1});
  const std::string path = support::write_bytes(
      folder / "state.pt", support::small_zip("}(" + support::py_str("0.weight") + weight + support::py_str("0.bias") +
                                              bias + support::py_str("0._extra_state") + "K\x05u"));
  const torch::nn::Sequential module{torch::nn::Linear(3, 2)};
  CHECK_THROWS_WITH(sg::load_state_dict(module, path),
                    ContainsSubstring("entry \"0._extra_state\" is an int") && ContainsSubstring("lenient"));
  const sg::LoadReport report =
      sg::load_state_dict(module, path, sg::LoadOptions().strictness(sg::Strictness::lenient));
  CHECK(report.missing.empty());
  CHECK(report.unexpected == std::vector<std::string>{"0._extra_state"});
  CHECK(at::equal(sg::state_dict(*module)["0.weight"], at::arange(6.).view({2, 3}).to(at::kFloat)));
  CHECK(at::equal(sg::state_dict(*module)["0.bias"], at::tensor({4.f, 5.f})));
}

TEST_CASE("a complaint names the file and stays short", "[load_state_dict]") {
  const Folder folder;
  sg::StateDict state;
  for (int i = 0; i < 2000; ++i) state.insert("entry" + std::to_string(i) + std::string(1000, 'x'), torch::zeros({1}));
  sg::save_state_dict(state, folder / "state.pt");
  try {
    sg::load_state_dict(net(), folder / "state.pt");
    FAIL("loaded");
  } catch (const c10::Error& error) {
    const std::string text = error.what_without_backtrace();
    CHECK(text.find("state.pt") != std::string::npos);
    CHECK(text.find("and 1995 more") != std::string::npos);
    CHECK(text.size() < 3000);
  }
}
