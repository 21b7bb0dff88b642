#include "sightglass/weights/state_dict.hpp"

#include <torch/torch.h>

#include <fstream>
#include <random>

#include "support/harness/catch.hpp"
#include "support/data/torch_files.hpp"

namespace sg = sightglass;
using namespace support;

namespace {

struct NetImpl : torch::nn::Module {
  torch::nn::Conv2d conv{register_module("conv", torch::nn::Conv2d(3, 2, 1))};
  torch::nn::Sequential body{register_module("body", torch::nn::Sequential(torch::nn::BatchNorm2d(2)))};
  torch::Tensor scale = register_parameter("scale", torch::rand({2}));
};
TORCH_MODULE(Net);

sg::StateDict read(const Folder& folder, const std::string& bytes, const std::string& key = "") {
  return sg::read_state_dict(write_bytes(folder / "state.pt", bytes), key);
}

void check_small(const sg::StateDict& state) {
  CHECK(state.keys() == std::vector<std::string>{"w", "n"});
  CHECK(at::equal(state["w"], at::arange(6.).view({2, 3}).to(at::kFloat)));
  CHECK(at::equal(state["n"], at::scalar_tensor(7, at::kLong)));
}

/// A state dict, or a c10::Error; anything else ends the test.
bool loads(const Folder& folder, const std::string& bytes) {
  try {
    read(folder, bytes);
    return true;
  } catch (const c10::Error& error) {
    CHECK(std::string(error.what_without_backtrace()).find("state dict \"") == 0);
    return false;
  }
}

}  // namespace

TEST_CASE("a module's state has Python's names and order", "[state_dict]") {
  const Net net;
  CHECK(sg::state_dict(*net).keys() == std::vector<std::string>{"scale", "conv.weight", "conv.bias", "body.0.weight",
                                                                "body.0.bias", "body.0.running_mean",
                                                                "body.0.running_var", "body.0.num_batches_tracked"});
}

TEST_CASE("what is saved is read again, of every type and layout", "[state_dict]") {
  const Folder folder;
  const at::Tensor x = torch::randn({3, 4});
  sg::StateDict state;
  for (const auto type : {at::kFloat, at::kDouble, at::kHalf, at::kBFloat16, at::kLong, at::kInt, at::kShort, at::kChar,
                          at::kByte, at::kBool, at::kComplexFloat, at::kComplexDouble})
    state.insert(std::to_string(static_cast<int>(type)), x.to(type));
  state.insert("transposed", x.t());
  state.insert("expanded", torch::ones({1}).expand({2, 3}));
  state.insert("scalar", torch::tensor(int64_t{5}));
  state.insert("empty", torch::empty({0, 3}));
  sg::save_state_dict(state, folder / "state.pt");
  const sg::StateDict again = sg::read_state_dict(folder / "state.pt");
  CHECK(again.keys() == state.keys());
  for (const auto& item : state) {
    CAPTURE(item.key());
    CHECK(again[item.key()].scalar_type() == item.value().scalar_type());
    CHECK(at::equal(again[item.key()], item.value()));
  }
}

TEST_CASE("saving replaces a file whole, or leaves it as it was", "[state_dict]") {
  const Folder folder;
  const Net net;
  sg::save_state_dict(net, folder / "state.pt");
  const std::string before = read_bytes(folder / "state.pt");
  sg::StateDict broken = sg::state_dict(*net);
  broken.insert("undefined", at::Tensor());
  CHECK_THROWS_WITH(sg::save_state_dict(broken, folder / "state.pt"), ContainsSubstring("\"undefined\""));
  CHECK(read_bytes(folder / "state.pt") == before);
  CHECK(folder.count() == 1);
  CHECK_THROWS_WITH(sg::save_state_dict(net, folder / "none/state.pt"), ContainsSubstring("none/state.pt"));
}

TEST_CASE("Python's OrderedDict, a plain dict and the old format are read", "[state_dict]") {
  const Folder folder;
  check_small(read(folder, small_zip()));
  check_small(read(folder, small_zip("}(" + small_items() + "u")));
  check_small(read(folder, small_legacy()));
}

TEST_CASE("a checkpoint's state dict is found by itself, or by its key", "[state_dict]") {
  const Folder folder;
  const auto checkpoint = [](const std::string& key) {
    return small_zip("}(" + py_str("epoch") + "K\x03" + py_str(key) + py_ordered_dict(small_items()) + py_str("best") +
                     "cnumpy\nfloat64\n)R" + "u");
  };
  for (const std::string key : {"state_dict", "model_state_dict", "model"}) check_small(read(folder, checkpoint(key)));
  check_small(read(folder, checkpoint("generator"), "generator"));
  CHECK_THROWS_WITH(read(folder, checkpoint("generator")), ContainsSubstring("\"epoch\", \"generator\", \"best\""));
  CHECK_THROWS_WITH(read(folder, checkpoint("model"), "modell"), ContainsSubstring("under \"modell\""));
  CHECK_THROWS_WITH(read(folder, checkpoint("model"), "epoch"), ContainsSubstring("holds an int under \"epoch\""));
}

TEST_CASE("what holds no state dict is named as what it is", "[state_dict]") {
  const Folder folder;
  const std::string small_tensor = py_tensor(py_storage("FloatStorage", "0", 6), 0, {6}, {1});
  CHECK_THROWS_WITH(read(folder, small_zip(small_tensor)), ContainsSubstring("holds a tensor"));
  CHECK_THROWS_WITH(read(folder, small_zip("c__main__\nNet\n)\x81}b")), ContainsSubstring("object of __main__.Net"));
  CHECK_THROWS_WITH(read(folder, small_zip("}(" + small_items() + py_str("x") + "K\x01u")),
                    ContainsSubstring("entry \"x\" is an int"));
  CHECK_THROWS_WITH(read(folder, small_zip("}(" + small_items() + small_items() + "u")), ContainsSubstring("twice"));
  CHECK_THROWS_WITH(read(folder, small_zip("}(K\x01" + small_tensor + "u")), ContainsSubstring("an int for a name"));
  CHECK_THROWS_WITH(sg::read_state_dict(folder / "none.pt"), ContainsSubstring("none.pt\": no such file"));
}

TEST_CASE("what a module of Python added to its state is an error that names it, or left out", "[state_dict]") {
  const Folder folder;
  const std::string file = small_zip("}(" + small_items() + py_str("0._extra_state") + "}" + "u");
  CHECK_THROWS_WITH(read(folder, file), ContainsSubstring("entry \"0._extra_state\" is a dict, expected a tensor") &&
                                            ContainsSubstring("Strictness::lenient leaves it out"));
  check_small(sg::read_state_dict(write_bytes(folder / "state.pt", file), "", sg::Strictness::lenient));
}

TEST_CASE("checkpoints that Python wrote: tensors beside the state dict, and extra state", "[state_dict]") {
  const std::string cases = shared_dir() + "/cases/";
  if (!std::ifstream(cases + "extra_state.pth").good()) SKIPPED("no cases in " + shared_dir());
  const sg::StateDict state = sg::read_state_dict(cases + "checkpoint_with_a_tensor.pth");
  CHECK(state.keys() == std::vector<std::string>{"0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean",
                                                 "1.running_var", "1.num_batches_tracked"});
  CHECK_THROWS_WITH(sg::read_state_dict(cases + "extra_state.pth"), ContainsSubstring("_extra_state"));
  CHECK(sg::read_state_dict(cases + "extra_state.pth", "", sg::Strictness::lenient).keys() ==
        std::vector<std::string>{"0.weight", "0.bias"});
}

TEST_CASE("a truncated file is an error, wherever it ends", "[state_dict]") {
  const Folder folder;
  for (const std::string& whole : {small_zip(), small_legacy()}) {
    REQUIRE(loads(folder, whole));
    for (size_t length = 0; length < whole.size(); ++length)
      if (loads(folder, whole.substr(0, length))) FAIL("loads when cut to " << length << " of " << whole.size());
  }
}

TEST_CASE("a damaged file loads or is an error, and nothing else", "[state_dict]") {
  const Folder folder;
  std::mt19937 random(1);
  for (const std::string& whole : {small_zip(), small_legacy()}) {
    int loaded = 0;
    for (int i = 0; i < 3000; ++i) {
      std::string bytes = whole;
      for (uint32_t change = 1 + random() % 4; change > 0; --change)
        bytes[random() % bytes.size()] = static_cast<char>(random() % 4 == 0 ? 0xFF : random());
      loaded += loads(folder, bytes) ? 1 : 0;
    }
    CHECK(loaded > 0);
    CHECK(loaded < 3000);
  }
}

TEST_CASE("state dicts that Python wrote are read: the references and ImageNet's networks", "[state_dict]") {
  const std::string refs = shared_dir() + "/refs/", models = shared_dir() + "/data/models/";
  if (!std::ifstream(refs + "tinyresnet_state_dict.pt").good() || !std::ifstream(models + "squeezenet1_0.pt").good())
    SKIPPED("no references or models in " + shared_dir());
  const sg::StateDict current = sg::read_state_dict(refs + "tinyresnet_state_dict.pt");
  const sg::StateDict old = sg::read_state_dict(refs + "tinyresnet_state_dict_legacy.pth");
  CHECK(current.size() == 122);
  CHECK(old.keys() == current.keys());
  for (const auto& item : current) CHECK(at::equal(item.value(), old[item.key()]));
  for (const std::string name : {"squeezenet1_0", "mobilenet_v2"}) {
    const sg::StateDict state = sg::read_state_dict(models + name + "_state_dict.pt");
    CHECK(state.size() == (name == "mobilenet_v2" ? 314 : 52));
    torch::jit::Module script = torch::jit::load(models + name + ".pt");
    for (const auto& parameter : script.named_parameters()) CHECK(at::equal(parameter.value, state[parameter.name]));
    for (const auto& buffer : script.named_buffers()) CHECK(at::equal(buffer.value, state[buffer.name]));
  }
  CHECK_THROWS_WITH(sg::read_state_dict(models + "squeezenet1_0.pt"), ContainsSubstring("TorchScript"));
}
