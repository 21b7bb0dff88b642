#include "sightglass/weights/saved_module.hpp"

#include "support/harness/catch.hpp"
#include "support/data/torch_files.hpp"

using namespace sightglass;
using namespace support;

namespace {

std::optional<SavedModule> module_in(const std::string& bytes) {
  const Folder folder;
  return saved_module(write_bytes(folder / "model.pt", bytes));
}

const std::string module_text = "cmodels\nYolo\n)\x81}" + py_str("_modules") + "}sb";

}  // namespace

TEST_CASE("a whole module is told from weights, with its class", "[saved_module]") {
  const auto found = module_in(small_zip(module_text));
  REQUIRE(found.has_value());
  CHECK(found->type == "models.Yolo");
  CHECK(found->key.empty());
  CHECK_FALSE(module_in(small_zip()).has_value());
  CHECK_FALSE(module_in(small_legacy()).has_value());
}

TEST_CASE("a whole module in a checkpoint is told with its key", "[saved_module]") {
  const auto found = module_in(small_zip("}" + py_str("epoch") + py_int(3) + "s" + py_str("net") + module_text + "s"));
  REQUIRE(found.has_value());
  CHECK(found->type == "models.Yolo");
  CHECK(found->key == "net");
}

TEST_CASE("what torch.save did not write is an error that names the file", "[saved_module]") {
  CHECK_THROWS_WITH(module_in("\x89PNG\r\n\x1a\n"),
                    ContainsSubstring("model.pt\": is a picture, expected a file of torch.save"));
  CHECK_THROWS_WITH(saved_module("no/such.pt"), ContainsSubstring("file \"no/such.pt\": no such file"));
}
