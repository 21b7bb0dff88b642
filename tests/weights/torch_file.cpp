#include "sightglass/weights/detail/torch_file.hpp"

#include "support/harness/catch.hpp"
#include "support/data/torch_files.hpp"

using namespace sightglass::detail;
using namespace support;

namespace {

/// The tensor that is the only value of a file: `pickled`, with the storages "0" (floats 0 to 5) and "1" (7).
at::Tensor only(const std::string& pickled) {
  const Folder folder;
  TorchFile file(write_bytes(folder / "f", small_zip(pickled)));
  const auto* const tensor = file.top().as<PickledTensor>();
  TORCH_CHECK(tensor != nullptr, "no tensor: ", file.top().describe());
  return file.tensor(*tensor);
}
at::Tensor strided(int64_t offset, const std::vector<int64_t>& sizes, const std::vector<int64_t>& strides) {
  return only(py_tensor(py_storage("FloatStorage", "0", 6), offset, sizes, strides));
}

}  // namespace

TEST_CASE("tensors are views of their storage, as in Python", "[torch_file]") {
  CHECK(at::equal(strided(0, {2, 3}, {3, 1}), at::arange(6.).view({2, 3}).to(at::kFloat)));
  CHECK(at::equal(strided(0, {3, 2}, {1, 3}), at::arange(6.).view({2, 3}).t().to(at::kFloat)));
  CHECK(at::equal(strided(1, {2}, {2}), at::tensor({1.f, 3.f})));
  CHECK(at::equal(strided(5, {4}, {0}), at::tensor({5.f, 5.f, 5.f, 5.f})));
  CHECK(strided(6, {0, 3}, {3, 1}).sizes() == at::IntArrayRef({0, 3}));
  CHECK(strided(2, {}, {}).item<float>() == 2);
}

TEST_CASE("a tensor that leaves its storage is refused", "[torch_file]") {
  const int64_t huge = int64_t{1} << 62;
  CHECK_THROWS_WITH(strided(0, {7}, {1}), ContainsSubstring("leaves its storage of 6 elements"));
  CHECK_THROWS_AS(strided(1, {2, 3}, {3, 1}), c10::Error);
  CHECK_THROWS_AS(strided(-1, {2}, {1}), c10::Error);
  CHECK_THROWS_AS(strided(0, {-2}, {1}), c10::Error);
  CHECK_THROWS_AS(strided(5, {2}, {-1}), c10::Error);
  CHECK_THROWS_AS(strided(0, {2}, {}), c10::Error);
  CHECK_THROWS_AS(strided(0, {huge, 4}, {0, 0}), c10::Error);
  CHECK_THROWS_AS(strided(0, {huge, huge}, {huge, huge}), c10::Error);
  CHECK_THROWS_AS(strided(huge, {1}, {1}), c10::Error);
  CHECK_THROWS_AS(strided(7, {0}, {1}), c10::Error);
}

TEST_CASE("a storage that the file does not have as told is refused", "[torch_file]") {
  const auto of = [](const std::string& storage) { return only(py_tensor(storage, 0, {1}, {1})); };
  CHECK_THROWS_WITH(of(py_storage("FloatStorage", "9", 1)), ContainsSubstring("no record \"small/data/9\""));
  CHECK_THROWS_WITH(of(py_storage("FloatStorage", "0", 7)), ContainsSubstring("has 24 bytes, expected 28"));
  CHECK_THROWS_WITH(of(py_storage("FloatStorage", "0", int64_t{1} << 40)), ContainsSubstring("truncated or damaged"));
  CHECK_THROWS_AS(of(py_storage("FloatStorage", "0", -1)), c10::Error);
  CHECK_THROWS_WITH(of(py_storage("QInt8Storage", "0", 1)), ContainsSubstring("torch.QInt8Storage"));
}

TEST_CASE("a tensor of a type that is not read hinders no other", "[torch_file]") {
  const Folder folder;
  const std::string odd = py_tensor(py_storage("QInt8Storage", "1", 1), 0, {1}, {1});
  const std::string plain = py_tensor(py_storage("FloatStorage", "0", 6), 0, {6}, {1});
  TorchFile file(write_bytes(folder / "f", small_zip("](" + odd + plain + "e")));
  const std::vector<const Pickled*>& both = file.top().as<PickledSequence>()->items;
  CHECK_THROWS_WITH(file.tensor(*both[0]->as<PickledTensor>()), ContainsSubstring("torch.QInt8Storage"));
  CHECK(at::equal(file.tensor(*both[1]->as<PickledTensor>()), at::arange(6.).to(at::kFloat)));
}

TEST_CASE("tensors and parameters with members of Python's are read as what they are", "[torch_file]") {
  const std::string tensor = py_tensor(py_storage("FloatStorage", "0", 6), 0, {6}, {1});
  const at::Tensor expected = at::arange(6.).to(at::kFloat);
  CHECK(at::equal(only("ctorch._utils\n_rebuild_parameter\n(" + tensor + "\x88}tR"), expected));
  CHECK(at::equal(only("ctorch._utils\n_rebuild_parameter_with_state\n(" + tensor + "\x88}}tR"), expected));
  const std::string arguments =
      "(" + py_storage("FloatStorage", "0", 6) + py_int(0) + py_tuple({6}) + py_tuple({1}) + "\x89}t";
  const std::string rebuild = "ctorch._tensor\n_rebuild_from_type_v2\n(ctorch._utils\n_rebuild_tensor_v2\nctorch\n";
  CHECK(at::equal(only(rebuild + "Tensor\n" + arguments + "}tR"), expected));
  CHECK_THROWS_WITH(only(rebuild + "Mine\n" + arguments + "}tR"), ContainsSubstring("no tensor: the Python object") ||
                                                                      ContainsSubstring("no tensor: a Python object"));
}

TEST_CASE("records that lie over each other cannot make a small file large", "[torch_file]") {
  const Folder folder;
  std::string items, bytes(5000, '\1');
  for (int i = 0; i < 50; ++i) items += py_tensor(py_storage("ByteStorage", std::to_string(i), 5000), 0, {5000}, {1});
  std::vector<std::pair<std::string, std::string>> records{{"a/data.pkl", py_pickle("](" + items + "e")},
                                                           {"a/data/0", bytes}};
  for (int i = 1; i < 50; ++i) records.emplace_back("a/data/" + std::to_string(i), "");
  std::string file = zip_of(records);
  const size_t first = file.find("PK\x01\x02", file.find(bytes));
  const std::string sizes = file.substr(file.find("a/data/0", first) - 46 + 20, 8),
                    place = file.substr(file.find("a/data/0", first) - 4, 4);
  for (int i = 1; i < 50; ++i) {
    const size_t name = file.find("a/data/" + std::to_string(i), first);
    file.replace(name - 26, 8, sizes);
    file.replace(name - 4, 4, place);
  }
  TorchFile read(write_bytes(folder / "f", file));
  const auto read_all = [&] {
    for (const Pickled* each : read.top().as<PickledSequence>()->items) read.tensor(*each->as<PickledTensor>());
  };
  CHECK_THROWS_WITH(read_all(), ContainsSubstring("lie over each other"));
}

TEST_CASE("files of other kinds are named as what they are", "[torch_file]") {
  const Folder folder;
  const auto read = [&](const std::string& bytes) { TorchFile(write_bytes(folder / "f", bytes)); };
  CHECK_THROWS_WITH(read(zip_of({{"a/b", ""}})), ContainsSubstring("is a packed archive"));
  CHECK_THROWS_WITH(read(zip_of({{"a/data.pkl", ""}, {"a/constants.pkl", ""}})), ContainsSubstring("torch::jit::load"));
  CHECK_THROWS_WITH(read(zip_of({{"a/data.pkl", "N."}, {"a/byteorder", "big"}})), ContainsSubstring("big-endian"));
  CHECK_THROWS_WITH(read(std::string("\0\1\2\3", 4)), ContainsSubstring("python3 -c"));
  CHECK_THROWS_WITH(read(""), ContainsSubstring("is empty (0 bytes), expected a file of torch.save"));
  CHECK_THROWS_WITH(read("\x80\x02N."), ContainsSubstring("pickle.load"));
  CHECK_THROWS_WITH(read(le(2, 8) + "{}"), ContainsSubstring("safetensors.torch.load_file"));
  CHECK_THROWS_WITH(read(zip_of({{"a/archive_format", "pt2"}})), ContainsSubstring("torch.export.load"));
  CHECK_THROWS_WITH(read("<!DOCTYPE html><html>"), ContainsSubstring("a web page"));
  std::string big = small_legacy();
  big[big.find("little_endian") + 13] = '\x89';
  CHECK_THROWS_WITH(read(big), ContainsSubstring("big-endian"));
}
