#include "support/model_file.hpp"

#include <utility>

#include "support/harness/catch.hpp"
#include "support/signature.hpp"
#include "support/data/programs.hpp"
#include "support/data/torch_files.hpp"

using namespace support;

namespace {

std::string complaint(const std::string& bytes) {
  const Folder folder;
  try {
    load_model(write_bytes(folder / "model.pt", bytes));
  } catch (const c10::Error& error) {
    return error.what_without_backtrace();
  }
  return "";
}

/// A model of the types that its `forward` is given in TorchScript's source.
std::string complaint_of_types(const std::string& arguments, const std::string& body) {
  static int count = 0;
  torch::jit::Module model("__torch__.Typed" + std::to_string(count++));
  model.define("def forward(self, " + arguments + ":\n  " + body + "\n");
  try {
    check_signature(model, "typed.pt");
  } catch (const c10::Error& error) {
    return error.what_without_backtrace();
  }
  return "";
}

}  // namespace

TEST_CASE("a model file of another kind is named as what it is, with what to do", "[model_file]") {
  CHECK_THAT(complaint(small_zip()), ContainsSubstring("holds weights (a state dict or checkpoint), not the network"));
  CHECK_THAT(complaint(small_legacy()), ContainsSubstring("holds weights"));
  const std::string module = "cmodels\nYolo\n)\x81}" + py_str("_modules") + "}sb";
  CHECK_THAT(complaint(small_zip(module)), ContainsSubstring("a whole Python module (models.Yolo)"));
  CHECK_THAT(complaint(small_zip("}" + py_str("model") + module + "s")),
             ContainsSubstring("torch.load(\"old.pt\", weights_only=False)[\"model\"]"));
  CHECK_THAT(complaint(le(2, 8) + "{}"), ContainsSubstring("a safetensors file, which holds weights"));
  CHECK_THAT(complaint(zip_of({{"m/archive_format", "pt2"}})), ContainsSubstring("holds no exported program"));
  CHECK_THAT(complaint(std::string("\x08\x08\x12\x07pytorch", 11)), ContainsSubstring("is an ONNX model"));
  CHECK_THAT(complaint("\x89PNG\r\n\x1a\n"), ContainsSubstring("the model comes first, then the pictures"));
  CHECK_THAT(complaint("version https://git-lfs.github.com/spec/v1\n"), ContainsSubstring("git lfs pull"));
  CHECK_THAT(complaint(""), ContainsSubstring("is empty (0 bytes)"));
  for (const std::string& bytes : {small_zip().substr(0, 200), std::string("\0\1\2", 3), std::string("text")})
    CHECK_THAT(complaint(bytes), !ContainsSubstring("\n") && !ContainsSubstring("miniz"));
}

TEST_CASE("an exported program is read, with the size of the pictures that it was exported with", "[model_file]") {
  const Folder folder;
  support::ProgramFile program;
  program.nodes = {support::node("aten.mean.dim", {{"self", support::tensor("x")}, {"dim", {{"as_ints", {2, 3}}}}},
                                 {support::tensor("mean")})};
  program.outputs = {support::tensor("mean")};
  program.x_sizes = support::sizes({1, 3, 20, 30});
  const support::ModelFile fixed = support::read_model(write_bytes(folder / "fixed.pt2", program.bytes()));
  CHECK(fixed.height == 20);
  CHECK(fixed.width == 30);
  program.x_sizes[2] = support::symbol("Symbol('s0')");
  const support::ModelFile open = support::read_model(write_bytes(folder / "open.pt2", program.bytes()));
  CHECK(open.height == 0);
  program.x_sizes[2] = support::symbol("Symbol('s0')", 40);
  const support::ModelFile shown = support::read_model(write_bytes(folder / "shown.pt2", program.bytes()));
  CHECK(shown.height == 40);
  CHECK(shown.width == 30);
  CHECK(shown.picture == "x");
}

TEST_CASE("an operator that LibTorch lacks is named, with whose it is", "[model_file]") {
  const std::string text = "\nUnknown builtin op: torchvision::nms.\nCould not find any similar ops to it.\n";
  CHECK(support::detail::unknown_operator(text) == "torchvision::nms");
  CHECK(support::detail::unknown_operator("file not found") == "");
  CHECK_THAT(support::detail::about_operator("torchvision::nms"), ContainsSubstring("is torchvision's"));
  CHECK_THAT(support::detail::about_operator("torch_scatter::scatter_max"), ContainsSubstring("library torch_scatter"));
  CHECK_THAT(support::detail::about_operator("aten::new_one"), ContainsSubstring("of a newer PyTorch"));
}

TEST_CASE("models of several inputs or outputs are refused in a line that names them", "[signature]") {
  CHECK(complaint_of_types("x)", "return x") == "");
  CHECK(complaint_of_types("x: Optional[Tensor]) -> Optional[Tensor]", "return x") == "");
  CHECK(complaint_of_types("x, scale: float = 2.0)", "return x * scale") == "");
  CHECK_THAT(complaint_of_types("image, table)", "return image + table"),
             ContainsSubstring("model \"typed.pt\": its forward takes 2 inputs (image, table)"));
  CHECK_THAT(complaint_of_types("xs: List[Tensor])", "return xs[0]"), ContainsSubstring("takes List[Tensor] for xs"));
  CHECK_THAT(complaint_of_types("x) -> Tuple[Tensor, Tensor]", "return x, x"),
             ContainsSubstring("gives Tuple[Tensor, Tensor]") && ContainsSubstring(".output(0)"));
  CHECK_THAT(complaint_of_types("x) -> Dict[str, Tensor]", "return {\"out\": x}"),
             ContainsSubstring("gives Dict[str, Tensor]") && ContainsSubstring(".output(\"out\")"));
  CHECK_THAT(complaint_of_types("x) -> List[Tensor]", "return [x, x]"), ContainsSubstring("gives List[Tensor]"));
}

TEST_CASE("a model's type is that of its weights", "[signature]") {
  for (const auto type : {torch::kFloat, torch::kHalf, torch::kBFloat16, torch::kDouble}) {
    torch::jit::Module model("__torch__.OfType");
    model.register_parameter("weight", torch::ones({2}).to(type), false);
    model.define("def forward(self, x):\n  return x * self.weight\n");
    CHECK(type_of(model) == type);
  }
}

TEST_CASE("of TorchScript's and Python's tracebacks one line is left, the reason", "[errors]") {
  const auto line = [](const std::string& text) { return one_line(std::runtime_error(text)); };
  CHECK(
      line("The following operation failed in the TorchScript interpreter.\nTraceback of TorchScript (most recent call "
           "last):\n  File \"a.py\", line 3\n    raise ValueError(x)\nValueError: only 17 rows\n") == "only 17 rows");
  CHECK(line("Traceback\nRuntimeError: sizes differ: [1, 2]\nmore") == "sizes differ: [1, 2]");
  CHECK(line("\n  plain text: here\nsecond") == "plain text: here");
}
