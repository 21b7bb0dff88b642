#include "sightglass/weights/detail/state_writer.hpp"

#include "support/harness/catch.hpp"
#include "support/data/torch_files.hpp"

using namespace sightglass::detail;

TEST_CASE("the pickle is the one that Python writes, but for its memo", "[state_writer]") {
  StatePickle pickle;
  pickle.add("w", at::zeros({2, 3}), "0");
  const std::string tensor = support::py_tensor(support::py_storage("FloatStorage", "0", 6), 0, {2, 3}, {3, 1});
  CHECK(pickle.finished() ==
        "\x80\x02"
        "ccollections\nOrderedDict\n)R(" +
            support::py_str("w") + tensor + "u.");
}

TEST_CASE("a type without a storage class in Python is refused by name", "[state_writer]") {
  StatePickle pickle;
  const at::Tensor quantized = at::quantize_per_tensor(at::zeros({2}), 1.0, 0, at::kQInt8);
  CHECK_THROWS_WITH(pickle.add("q", quantized, "0"), ContainsSubstring("\"q\" is of type QInt8"));
}

TEST_CASE("a writer that fails is an error", "[state_writer]") {
  torch::OrderedDict<std::string, at::Tensor> state;
  state.insert("w", at::zeros({100}));
  const support::Folder folder;
  CHECK_THROWS_AS(write_state_file(state, folder / "none/state.pt"), c10::Error);
  CHECK(folder.count() == 0);
}
