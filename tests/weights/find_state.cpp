#include "sightglass/weights/detail/find_state.hpp"

#include "sightglass/weights/detail/torch_file.hpp"
#include "support/harness/catch.hpp"
#include "support/data/torch_files.hpp"

using namespace sightglass::detail;
using namespace support;

namespace {

std::string tensor() { return py_tensor(py_storage("FloatStorage", "0", 6), 0, {6}, {1}); }
/// `{"NAME.w": a tensor}`, by whose name the dict that was found is known.
std::string state(const std::string& name) { return "}(" + py_str(name + ".w") + tensor() + "u"; }
std::string dict(const std::string& items) { return "}(" + items + "u"; }
std::string item(const std::string& key, const std::string& value) { return py_str(key) + value; }

/// The first name in the state dict that is found.
std::string found(const std::string& pickled, const std::string& key = "") {
  const Folder folder;
  TorchFile file(write_bytes(folder / "f", small_zip(pickled)));
  return *find_state(file.top(), key).items.front().first->as<std::string>();
}

}  // namespace

TEST_CASE("the usual keys come before the dict itself", "[find_state]") {
  for (const std::string key : {"state_dict", "model_state_dict", "model", "net", "network", "module", "weights",
                                "params", "params_ema", "ema", "model_ema", "state_dict_ema", "ema_state_dict"}) {
    CAPTURE(key);
    CHECK(found(dict(item("best_acc1", tensor()) + item("epoch", "K\x03") + item(key, state("inner")))) == "inner.w");
  }
  CHECK(found(dict(item("w", tensor()) + item("model", py_str("resnet18")))) == "w");  // no dict, so no state dict
  CHECK(found(dict(item("w", tensor()) + item("_extra_state", state("extra")))) == "w");
}

TEST_CASE("Lightning's, MMEngine's, timm's and torchvision's checkpoints are read", "[find_state]") {
  const std::string optimiser =
      dict(item("state", dict("K\x01" + dict(item("exp_avg", tensor())))) + item("lr", "K\x01"));
  const std::string version = py_str("2.4.0");
  CHECK(found(dict(item("epoch", "K\x03") + item("pytorch-lightning_version", version) +
                   item("state_dict", state("model.conv")) + item("optimizer_states", "](" + optimiser + "e"))) ==
        "model.conv.w");
  CHECK(found(dict(item("meta", dict(item("mmengine_version", version))) + item("state_dict", state("backbone")) +
                   item("optimizer", optimiser))) == "backbone.w");
  const std::string timm = dict(item("arch", py_str("resnet18")) + item("state_dict", state("plain")) +
                                item("optimizer", optimiser) + item("state_dict_ema", state("averaged")));
  CHECK_THROWS_WITH(found(timm), ContainsSubstring("under \"state_dict\", \"state_dict_ema\"") &&
                                     ContainsSubstring("LoadOptions().key(\"state_dict_ema\")"));
  CHECK(found(timm, "state_dict") == "plain.w");
  CHECK(found(timm, "state_dict_ema") == "averaged.w");
}

TEST_CASE("one dict under two keys is one, and a dict that holds itself ends", "[find_state]") {
  CHECK(found(dict(item("generator", state("one") + "q\x01") + item("model", "h\x01"))) == "one.w");
  CHECK_THROWS_WITH(found("}q\x01(" + item("model", "h\x01") + "u"), ContainsSubstring("holds no dict of tensors"));
}

TEST_CASE("where a dict could be meant or not, the error names the key that would do", "[find_state]") {
  const std::string mixed = dict(item("best_acc1", tensor()) + item("generator", state("inner")));
  CHECK_THROWS_WITH(found(mixed), ContainsSubstring("tensors beside a dict of tensors under \"generator\"") &&
                                      ContainsSubstring("LoadOptions().key(\"generator\")"));
  CHECK(found(mixed, "generator") == "inner.w");
  const std::string pair = dict(item("student", state("s")) + item("teacher", state("t")));
  CHECK_THROWS_WITH(found(pair), ContainsSubstring("under \"student\", \"teacher\"") &&
                                     ContainsSubstring("LoadOptions().key(\"student\")"));
  CHECK(found(pair, "teacher") == "t.w");
  CHECK_THROWS_WITH(found(dict(item("model", state("m"))), "modle"),
                    ContainsSubstring("under \"modle\"") && ContainsSubstring("LoadOptions().key(\"model\") would do"));
}

TEST_CASE("a state dict deeper in a checkpoint is found by usual keys, and by a path", "[find_state]") {
  const std::string deep = dict(item("model", dict(item("state_dict", state("deep")))));
  CHECK(found(deep) == "deep.w");
  CHECK(found(deep, "model") == "deep.w");
  CHECK(found(deep, "model.state_dict") == "deep.w");
  const std::string parts = dict(item("model", dict(item("encoder", state("e")) + item("decoder", state("d")))));
  CHECK_THROWS_WITH(found(parts), ContainsSubstring("LoadOptions().key(\"model.encoder\")"));
  CHECK(found(parts, "model.decoder") == "d.w");
  CHECK(found(dict(item("a.b", state("dotted")) + item("a", dict(item("b", state("path"))))), "a.b") == "dotted.w");
}

TEST_CASE("a whole module is named, with the line of Python that saves its weights", "[find_state]") {
  const std::string module = "cmodels\nYolo\n)\x81}" + item("_modules", "}") + "sb";
  CHECK_THROWS_WITH(found(module), ContainsSubstring("a whole module, a Python object of models.Yolo") &&
                                       ContainsSubstring("weights_only=False).state_dict()"));
  CHECK_THROWS_WITH(found(dict(item("epoch", "K\x01") + item("model", module))),
                    ContainsSubstring("weights_only=False)[\"model\"].state_dict()"));
  CHECK_THROWS_WITH(found(dict(item("epoch", "K\x01"))),
                    ContainsSubstring("holds no dict of tensors; its keys: \"epoch\""));
}
