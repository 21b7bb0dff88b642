#pragma once

#include "sightglass/exported/detail/program_archive.hpp"

#include <array>
#include <utility>

#include "sightglass/inline.hpp"
#include "sightglass/weights/file_kind.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE c10::ScalarType scalar_type_of(int64_t number) {
  static constexpr std::array<c10::ScalarType, 14> types{at::ScalarType::Undefined,
                                                         at::kByte,
                                                         at::kChar,
                                                         at::kShort,
                                                         at::kInt,
                                                         at::kLong,
                                                         at::kHalf,
                                                         at::kFloat,
                                                         at::kDouble,
                                                         at::kComplexHalf,
                                                         at::kComplexFloat,
                                                         at::kComplexDouble,
                                                         at::kBool,
                                                         at::kBFloat16};
  TORCH_CHECK(number > 0 && number < static_cast<int64_t>(types.size()), "has tensors of a type that is not read (",
              number, " in PyTorch's schema); convert them in Python before the export");
  return types.at(static_cast<size_t>(number));
}

SIGHTGLASS_INLINE ProgramArchive::ProgramArchive(const std::string& path, const std::string& model)
    : path_(path), file_(path), archive_(checked(file_)) {
  expect_program(kind_of(archive_));
  folder_ = folder_of();
  const std::string order = folder_ + "byteorder";
  TORCH_CHECK(archive_.records().count(order) == 0 || archive_.bytes(order) == "little",
              "was written on a big-endian machine; load and save it again in Python on this one");
  const std::string old = "serialized_exported_program.json";
  if (archive_.records().count(folder_ + old) == 0) {
    open_folders(choose(model));
    return;
  }
  program_ = old;
  open_saved(weights_, "serialized_state_dict.pt");
  open_saved(constants_, "serialized_constants.pt");
}

SIGHTGLASS_INLINE FileReader& ProgramArchive::checked(FileReader& file) {
  if (!ZipArchive::is_zip(file)) expect_program(kind_of(file));
  return file;
}

SIGHTGLASS_INLINE void ProgramArchive::expect_program(FileKind kind) {
  TORCH_CHECK(kind == FileKind::exported_program, "is ", describe(kind),
              ", expected an exported program (.pt2), as torch.export.save writes it");
}

SIGHTGLASS_INLINE Json ProgramArchive::program() {
  const std::string text = archive_.bytes(folder_ + program_);
  try {
    return parse_json(text);
  } catch (const nlohmann::json::exception& error) {
    C10_THROW_ERROR(Error, c10::str("is damaged: ", program_, " is no JSON (", error.what(), ")"));
  }
}

SIGHTGLASS_INLINE std::string ProgramArchive::folder_of() const {
  for (const char* known : {"archive_format", "serialized_exported_program.json"}) {
    const std::string name = known;
    for (const auto& [record, place] : archive_.records()) {
      static_cast<void>(place);
      const size_t slash = record.find('/');
      if (record == name) return "";
      if (slash != std::string::npos && record.substr(slash + 1) == name) return record.substr(0, slash + 1);
    }
  }
  C10_THROW_ERROR(Error, "is damaged: it says nothing of its layout");
}

SIGHTGLASS_INLINE std::string ProgramArchive::choose(const std::string& wanted) const {
  const std::string before = folder_ + "models/", after = ".json";
  std::vector<std::string> names;
  for (const auto& [record, place] : archive_.records()) {
    static_cast<void>(place);
    if (record.size() > before.size() + after.size() && record.compare(0, before.size(), before) == 0 &&
        record.compare(record.size() - after.size(), after.size(), after) == 0)
      names.push_back(record.substr(before.size(), record.size() - before.size() - after.size()));
  }
  TORCH_CHECK(!names.empty(),
              "holds no exported program, as after a save that failed; a package of AOTInductor's compiled code cannot "
              "be looked into: save the "
              "program itself, torch.export.save(program, \"model.pt2\")");
  const std::string name = wanted.empty() && names.size() > 1 ? "model" : wanted;
  for (const std::string& known : names) {
    if (names.size() == 1 && wanted.empty()) return known;
    if (known == name) return known;
  }
  C10_THROW_ERROR(
      Error, c10::str("model: the file has no program \"", name, "\", it has ", names,
                      "; name one: ExportedProgram::load(path, \"", names.front(), "\"), or save it alone in Python"));
}

SIGHTGLASS_INLINE void ProgramArchive::open_folders(const std::string& model) {
  program_ = "models/" + model + ".json";
  const auto open = [&](Tensors& tensors, const std::string& kind) {
    const std::string folder = "data/" + kind + "/";
    const std::string config = folder_ + folder + model + "_" + kind + "_config.json";
    if (archive_.records().count(config) == 0) {
      open_saved(tensors, folder + model + ".pt");
    } else {
      tensors.folder = folder_ + folder;
      tensors.config = Json::parse(archive_.bytes(config)).at("config");
    }
  };
  open(weights_, "weights");
  open(constants_, "constants");
}

SIGHTGLASS_INLINE void ProgramArchive::open_saved(Tensors& tensors, const std::string& record) {
  if (archive_.records().count(folder_ + record) == 0) return;
  tensors.folder = record;
  tensors.saved = saved_file(folder_ + record);
  const auto* const dict = tensors.saved->top().as<PickledDict>();
  TORCH_CHECK(dict != nullptr, "is damaged: ", record, " holds no dict");
  for (const auto& [key, value] : dict->items) {
    const auto* const name = key->as<std::string>();
    const auto* const pickled = value->as<PickledTensor>();
    if (name != nullptr && pickled != nullptr) tensors.pickled.emplace(*name, pickled);
  }
}

SIGHTGLASS_INLINE std::unique_ptr<TorchFile> ProgramArchive::saved_file(const std::string& record) const {
  const ZipArchive::Record& found = archive_.record(record);
  return std::make_unique<TorchFile>(FileReader(path_, archive_.begin(found), found.size));
}

SIGHTGLASS_INLINE ProgramArchive::View ProgramArchive::view_of(const Tensors& tensors, const PickledTensor& pickled) {
  return {tensors.folder + pickled.storage->key, pickled.storage->dtype, pickled.offset, pickled.sizes,
          pickled.strides};
}

SIGHTGLASS_INLINE std::map<std::string, at::Tensor> ProgramArchive::read_weights() const {
  std::map<std::string, at::Tensor> read;
  for (const auto& [name, pickled] : weights_.pickled) {
    const auto found = views_.find(view_of(weights_, *pickled));
    if (found != views_.end()) read.emplace(name, found->second);
  }
  return read;
}

SIGHTGLASS_INLINE at::Tensor ProgramArchive::tensor(Tensors& tensors, const std::string& name) {
  if (tensors.saved != nullptr) {
    const auto found = tensors.pickled.find(name);
    TORCH_CHECK(found != tensors.pickled.end(), "is damaged: it has no tensor \"", name, "\"");
    at::Tensor& made = views_[view_of(tensors, *found->second)];
    if (!made.defined()) made = tensors.saved->tensor(*found->second);
    return made;
  }
  const Json* const entry = tensors.config ? find(*tensors.config, name.c_str()) : nullptr;
  TORCH_CHECK(entry != nullptr, "is damaged: it has no tensor \"", name, "\"");
  const auto record = tensors.folder + entry->at("path_name").get<std::string>();
  if (entry->at("use_pickle").get<bool>()) {
    const auto saved = saved_file(record);
    const auto* const pickled = saved->top().as<PickledTensor>();
    TORCH_CHECK(pickled != nullptr, "has a tensor of another kind (\"", name, "\" is ", saved->top().describe(),
                "); make it a plain tensor before the export");
    return saved->tensor(*pickled);
  }
  const Json* const meta = find(*entry, "tensor_meta");
  TORCH_CHECK(meta != nullptr, "has an object that is no tensor (\"", name, "\"); only Python can read it");
  return read(record, *meta);
}

SIGHTGLASS_INLINE at::Tensor ProgramArchive::read(const std::string& record, const Json& meta) {
  const c10::ScalarType type = scalar_type_of(meta.at("dtype").get<int64_t>());
  TORCH_CHECK(meta.at("layout").get<int64_t>() == 7,
              "has a tensor that is not strided (sparse, or of MKL-DNN); make "
              "it a plain tensor before the export");
  std::vector<int64_t> sizes, strides;
  for (const Json& size : meta.at("sizes")) sizes.push_back(whole_of(size));
  for (const Json& stride : meta.at("strides")) strides.push_back(whole_of(stride));
  const int64_t offset = whole_of(meta.at("storage_offset"));
  at::Tensor& made = views_[{record, type, offset, sizes, strides}];
  if (made.defined()) return made;
  const at::Tensor bytes = bytes_of(record);
  const auto element = static_cast<int64_t>(c10::elementSize(type));
  check_in_storage(sizes, strides, offset, bytes.numel() / element);
  made = at::empty({0}, at::TensorOptions().dtype(type)).set_(bytes.storage(), offset, sizes, strides);
  return made;
}

SIGHTGLASS_INLINE at::Tensor ProgramArchive::bytes_of(const std::string& record) {
  at::Tensor& bytes = storages_[record];
  if (bytes.defined()) return bytes;
  const ZipArchive::Record& found = archive_.record(record);
  const uint64_t begin = archive_.begin(found);
  read_ += found.size;
  TORCH_CHECK(read_ <= file_.size(), "is damaged: its tensors lie over each other");
  at::Tensor made = at::empty({static_cast<int64_t>(found.size)}, at::TensorOptions().dtype(at::kByte));
  file_.read(begin, found.size, made.data_ptr());
  ZipArchive::check(found, static_cast<const char*>(made.data_ptr()), record);
  bytes = made;
  return bytes;
}

}  // namespace sightglass::detail
