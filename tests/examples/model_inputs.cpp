#include "support/model_inputs.hpp"

#include "support/harness/catch.hpp"
#include "support/files.hpp"
#include "support/model_end.hpp"
#include "support/data/torch_files.hpp"

using namespace support;

namespace {

torch::jit::Module model_of(const std::string& arguments, const std::string& body) {
  static int count = 0;
  torch::jit::Module model("__torch__.Inputs" + std::to_string(count++));
  model.register_attribute("training", c10::BoolType::get(), false);
  model.register_parameter("weight", torch::ones({2, 2}), false);
  model.define("def forward(self, " + arguments + ":\n  " + body + "\n");
  return model;
}

/// What the program makes of the model for a picture of ones with these further inputs.
torch::Tensor given(const torch::jit::Module& model, const std::vector<std::string>& further, int64_t rows = 1) {
  return ModelInputs(model, "m.pt", further).model().forward(torch::ones({rows, 2}));
}

std::string complaint(const torch::jit::Module& model, const std::vector<std::string>& further) {
  try {
    given(model, further);
  } catch (const UsageError& error) {
    return error.what();
  } catch (const c10::Error& error) {
    return error.what_without_backtrace();
  }
  return "";
}

}  // namespace

TEST_CASE("whole numbers go to the model as they are, the picture to the input that the file names", "[model_inputs]") {
  const Folder folder;
  const std::string numbers = folder / "numbers.npy";
  std::string bytes = npy_bytes(torch::zeros({1, 2}));
  bytes.replace(bytes.find("<f4"), 3, "<i8");
  bytes.resize(bytes.size() - 8);
  const int64_t values[] = {1, 0};
  write_whole(numbers, bytes + std::string(reinterpret_cast<const char*>(values), sizeof values));
  const torch::jit::Module text_and_picture =
      model_of("words, image)", "return self.weight[words.flatten()].sum(0, True) * image");
  const auto inputs = [&](const std::vector<std::string>& further) {
    return ModelInputs(text_and_picture, "m.pt", further, support::read_npy, "image");
  };
  CHECK(at::equal(inputs({"words=" + numbers}).model().forward(torch::full({1, 2}, 3.f)), torch::full({1, 2}, 6.f)));
  CHECK_THROWS_WITH(inputs({}), ContainsSubstring("beside the picture, which is image, give --input words="));
}

TEST_CASE("further inputs go to the arguments that they name, once or row by row", "[model_inputs]") {
  const Folder folder;
  const std::string once = folder / "once.npy", rows = folder / "rows.npy";
  write_whole(once, npy_bytes(torch::tensor({{2.f, 3.f}})));
  write_whole(rows, npy_bytes(torch::tensor({{2.f, 3.f}, {4.f, 5.f}})));
  const torch::jit::Module two = model_of("image, table)", "return 10 * image + table");
  CHECK(at::equal(given(two, {"table=" + once}), torch::tensor({{12.f, 13.f}})));
  CHECK(at::equal(given(two, {"table=" + once}, 2), torch::tensor({{12.f, 13.f}, {12.f, 13.f}})));
  CHECK(at::equal(given(two, {"table=" + rows}, 2), torch::tensor({{12.f, 13.f}, {14.f, 15.f}})));
  // The picture is what is left.
  CHECK(at::equal(given(two, {"image=" + once}), torch::tensor({{21.f, 31.f}})));
  // A default and an optional need not be given.
  const std::string body = "y = x * scale\n  if table is not None:\n    y = y + table\n  return y";
  const torch::jit::Module defaults = model_of("x, scale: float = 2.0, table: Optional[Tensor] = None)", body);
  CHECK(at::equal(given(defaults, {}), torch::tensor({{2.f, 2.f}})));
  CHECK(at::equal(given(defaults, {"table=" + once}), torch::tensor({{4.f, 5.f}})));
}

TEST_CASE("a list of pictures gets the picture without its batch", "[model_inputs]") {
  const torch::jit::Module lists = model_of("xs: List[Tensor]) -> List[Tensor]", "return [3 * xs[0].unsqueeze(0)]");
  CHECK(at::equal(given(lists, {}), torch::tensor({{3.f, 3.f}})));
  CHECK_THROWS_WITH(given(lists, {}, 2), ContainsSubstring("give pictures one by one"));
}

TEST_CASE("inputs that are missing or unknown are one line that lists the names", "[model_inputs]") {
  const torch::jit::Module three = model_of("image, table, mask)", "return image + table + mask");
  CHECK_THAT(complaint(three, {}), ContainsSubstring("takes 3 inputs (image, table, mask)") &&
                                       ContainsSubstring("give --input table=FILE.npy --input mask=FILE.npy"));
  CHECK_THAT(complaint(three, {"tables=a.npy"}), ContainsSubstring("no such input; it takes image, table, mask"));
  CHECK_THAT(complaint(three, {"table"}), ContainsSubstring("expected NAME=FILE"));
  CHECK_THAT(complaint(three, {"table=none.npy"}), ContainsSubstring("array \"none.npy\": no such file"));
  CHECK_THAT(complaint(model_of("x, times: int)", "return x * times"), {}),
             ContainsSubstring("takes int for times, explain gives it tensors"));
  CHECK_THAT(complaint(model_of("times: int)", "return times"), {}), ContainsSubstring("takes no tensor (int times)"));
}

TEST_CASE("the end of a model is that of the output that is asked for", "[model_end]") {
  const torch::jit::Module two = model_of("x)", "y = torch.linear(x, self.weight)\n  return y, torch.sigmoid(y)");
  CHECK(end_of(two) == ModelEnd::linear);
  CHECK(end_of(two, "1") == ModelEnd::sigmoid);
  CHECK(end_of(two, "2") == ModelEnd::unknown);
  const torch::jit::Module keyed = model_of(
      "x)", "y = torch.linear(x, self.weight)\n  return {\"a\": [torch.relu(y), torch.sigmoid(y)], \"b\": [y]}");
  CHECK(end_of(keyed, "a.1") == ModelEnd::sigmoid);
  CHECK(end_of(keyed, "b") == ModelEnd::linear);
  CHECK(end_of(keyed) == ModelEnd::unknown);
}
