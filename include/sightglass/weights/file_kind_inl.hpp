#pragma once

#include "sightglass/weights/file_kind.hpp"

#include "sightglass/inline.hpp"

namespace sightglass {

SIGHTGLASS_INLINE std::string describe(FileKind kind) {
  switch (kind) {
    case FileKind::torch_save:
      return "a file of torch.save";
    case FileKind::torch_save_legacy:
      return "a file of torch.save from before PyTorch 1.6";
    case FileKind::torch_script:
      return "a TorchScript archive";
    case FileKind::exported_program:
      return "an exported program (torch.export's .pt2)";
    case FileKind::executorch:
      return "an ExecuTorch or mobile program";
    case FileKind::safetensors:
      return "a safetensors file";
    case FileKind::onnx:
      return "an ONNX model";
    case FileKind::tensorflow:
      return "a TensorFlow model";
    case FileKind::hdf5:
      return "an HDF5 file, as Keras writes (.h5)";
    case FileKind::keras:
      return "a Keras model";
    case FileKind::gguf:
      return "a GGUF file";
    case FileKind::numpy:
      return "a file of NumPy's arrays";
    case FileKind::pickle:
      return "a pickle of Python that torch.save did not write";
    case FileKind::picture:
      return "a picture";
    case FileKind::archive:
      return "a packed archive (zip, tar, gzip or the like)";
    case FileKind::web_page:
      return "a web page or a server's answer (HTML, XML), as a download leaves that went wrong";
    case FileKind::lfs_pointer:
      return "a git-LFS pointer in place of the file";
    case FileKind::text:
      return "a text";
    case FileKind::empty:
      return "empty (0 bytes)";
    case FileKind::unknown:
      break;
  }
  return "of no kind that is known here";
}

SIGHTGLASS_INLINE std::string remedy(FileKind kind) {
  switch (kind) {
    case FileKind::lfs_pointer:
      return "git lfs pull, in its repository, brings the file";
    case FileKind::web_page:
    case FileKind::empty:
      return "download or copy the file itself";
    case FileKind::archive:
      return "unpack it first";
    default:
      return "";
  }
}

}  // namespace sightglass

namespace sightglass::detail {

SIGHTGLASS_INLINE FileKind kind_of(const ZipArchive& archive) {
  const auto has = [&](const std::string& end) {
    return std::any_of(archive.records().begin(), archive.records().end(), [&](const auto& item) {
      const std::string& name = item.first;
      return name == end || (name.size() > end.size() + 1 &&
                             name.compare(name.size() - end.size() - 1, std::string::npos, "/" + end) == 0);
    });
  };
  if (has("archive_format") || has("serialized_exported_program.json")) return FileKind::exported_program;
  if (has("constants.pkl")) return FileKind::torch_script;
  if (has("data.pkl")) return FileKind::torch_save;
  if (has("model.weights.h5")) return FileKind::keras;
  const auto is_array = [](const auto& item) { return item.first.find(".npy") != std::string::npos; };
  if (std::any_of(archive.records().begin(), archive.records().end(), is_array)) return FileKind::numpy;
  return FileKind::archive;
}

SIGHTGLASS_INLINE FileKind kind_of_text(const std::string& start) {
  std::string text = begins_with(start, "\xEF\xBB\xBF") ? start.substr(3) : start;
  text.erase(0, text.find_first_not_of(" \t\r\n"));
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char letter) { return static_cast<char>(std::tolower(letter)); });
  if (begins_with(text, "<!doctype") || begins_with(text, "<html") || begins_with(text, "<?xml"))
    return FileKind::web_page;
  if (begins_with(text, "version https://git-lfs")) return FileKind::lfs_pointer;
  const auto is_letter = [](unsigned char byte) { return byte >= 0x20 || (byte >= '\t' && byte <= '\r'); };
  return std::all_of(text.begin(), text.end(), is_letter) ? FileKind::text : FileKind::unknown;
}

SIGHTGLASS_INLINE FileKind kind_of(FileReader& file) {
  if (file.size() == 0) return FileKind::empty;
  if (ZipArchive::is_zip(file)) return kind_of(ZipArchive(file));
  constexpr uint64_t looked_at = 512;
  const std::string start = file.bytes(0, std::min(looked_at, file.size()));
  if (begins_with(start, legacy_magic())) return FileKind::torch_save_legacy;
  if (start[0] == '\x80' && start.size() > 2 && start[1] >= 2 && start[1] <= 5) return FileKind::pickle;
  if (is_safetensors(start)) return FileKind::safetensors;
  if (begins_with(start, "\x89HDF\r\n\x1a\n")) return FileKind::hdf5;
  if (begins_with(start, "GGUF")) return FileKind::gguf;
  if (begins_with(start, "\x93NUMPY")) return FileKind::numpy;
  if (begins_with(start, "ET", 4) || begins_with(start, "PTMF", 4)) return FileKind::executorch;
  if (is_picture(start)) return FileKind::picture;
  if (is_archive(start)) return FileKind::archive;
  if (is_onnx(start)) return FileKind::onnx;
  if (is_tensorflow(start)) return FileKind::tensorflow;
  return kind_of_text(start);
}

}  // namespace sightglass::detail

namespace sightglass {

SIGHTGLASS_INLINE FileKind file_kind(const std::string& path) {
  return detail::naming_file("file", path, [&] {
    detail::FileReader file(path);
    return detail::kind_of(file);
  });
}

}  // namespace sightglass
