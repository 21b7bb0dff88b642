#include "sightglass/weights/file_kind.hpp"

#include <utility>

#include "support/harness/catch.hpp"
#include "support/data/torch_files.hpp"

using namespace sightglass;
using namespace support;

namespace {

std::string told(const std::string& bytes) {
  const Folder folder;
  return describe(file_kind(write_bytes(folder / "weights.pth", bytes)));
}

}  // namespace

TEST_CASE("a file's kind is told from its bytes, whatever its name", "[file_kind]") {
  // The first bytes of files that the formats' own writers made: safetensors 0.8, onnx 1.23, h5py 3.16, torch 2.13.
  const std::string onnx("\x08\x0e\x12\x07pytorch:3\n\x0c\n\x01x\x12\x01y\"\x04Relu\x12\x01gZ\x0f", 30);
  const std::string unnamed_onnx("\x08\x0e:3\n\x0c\n\x01x\x12\x01y\"\x04Relu", 18);
  const std::string graph_def("\x0a\x14\x0a\x01x\x12\x0bPlaceholder*\x02\x08\x01", 22);
  const std::string saved_model("\x08\x01\x12\xa4\x02\x0a\x1d\x12\x05serve", 12);
  CHECK(told(le(64, 8) + "{\"a\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]}}") ==
        "a safetensors file");
  CHECK(told(onnx) == "an ONNX model");
  CHECK(told(unnamed_onnx) == "an ONNX model");
  CHECK(told(graph_def) == "a TensorFlow model");
  CHECK(told(saved_model) == "a TensorFlow model");
  CHECK(told(std::string("\x1c\0\0\0TFL3", 8)) == "a TensorFlow model");
  CHECK(told(std::string("\x89HDF\r\n\x1a\n\0", 9)) == "an HDF5 file, as Keras writes (.h5)");
  CHECK(told(std::string("GGUF\3\0\0\0", 8)) == "a GGUF file");
  CHECK(told(std::string("\x08\0\0\0ET12", 8)) == "an ExecuTorch or mobile program");
  CHECK(told("\x93NUMPY\1") == "a file of NumPy's arrays");
  CHECK(told("\x80\4\x95\5") == "a pickle of Python that torch.save did not write");
  CHECK(told("\x89PNG\r\n\x1a\n") == "a picture");
  CHECK(told("\xFF\xD8\xFF\xE0") == "a picture");
  CHECK(told("\x1f\x8b\x08") == "a packed archive (zip, tar, gzip or the like)");
  CHECK(told(small_legacy()) == "a file of torch.save from before PyTorch 1.6");
  CHECK(told("") == "empty (0 bytes)");
  CHECK(told(std::string("\0\1\2\3\4", 5)) == "of no kind that is known here");
}

TEST_CASE("what a download leaves in a file's place is told", "[file_kind]") {
  const std::string page = "a web page or a server's answer (HTML, XML), as a download leaves that went wrong";
  CHECK(told("<!DOCTYPE html><html><head>") == page);
  CHECK(told("\xEF\xBB\xBF\r\n  <HTML>") == page);
  CHECK(told("<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>") == page);
  CHECK(told("version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 46827520\n") ==
        "a git-LFS pointer in place of the file");
  CHECK(told("{\"error\": \"Repository not found\"}") == "a text");
  CHECK(remedy(FileKind::lfs_pointer).find("git lfs pull") == 0);
}

TEST_CASE("zip files are told apart by their records", "[file_kind]") {
  const auto with = [](const std::vector<std::string>& names) {
    std::vector<std::pair<std::string, std::string>> records;
    for (const std::string& name : names) records.emplace_back(name, "");
    return told(zip_of(records));
  };
  CHECK(told(small_zip()) == "a file of torch.save");
  CHECK(with({"net/data.pkl", "net/constants.pkl", "net/code/a.py"}) == "a TorchScript archive");
  CHECK(with({"net/models/model.json", "net/archive_format"}) == "an exported program (torch.export's .pt2)");
  CHECK(with({"serialized_exported_program.json", "version"}) == "an exported program (torch.export's .pt2)");
  CHECK(with({"config.json", "metadata.json", "model.weights.h5"}) == "a Keras model");
  CHECK(with({"a.npy", "b.npy"}) == "a file of NumPy's arrays");
  CHECK(with({"weights.pth"}) == "a packed archive (zip, tar, gzip or the like)");
  CHECK_THROWS_WITH(told(small_zip().substr(0, 100)), ContainsSubstring("weights.pth\": is truncated"));
}

TEST_CASE("a file that there is not is named", "[file_kind]") {
  CHECK_THROWS_WITH(file_kind("no/such.pt"), ContainsSubstring("file \"no/such.pt\": no such file"));
  CHECK(remedy(FileKind::torch_save).empty());
}
