#pragma once

#include "sightglass/weights/detail/torch_file.hpp"

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE std::string how_to_get_weights(FileKind kind) {
  switch (kind) {
    case FileKind::torch_script:
      return "read it with torch::jit::load; or its weights alone, in Python: import torch; "
             "torch.save(torch.jit.load(\"model.pt\").state_dict(), \"model.pth\")";
    case FileKind::exported_program:
      return "in Python: import torch; torch.save(torch.export.load(\"model.pt2\").state_dict, \"model.pth\")";
    case FileKind::safetensors:
      return "in Python: import torch, safetensors.torch; "
             "torch.save(safetensors.torch.load_file(\"model.safetensors\"), \"model.pth\")";
    case FileKind::onnx:
    case FileKind::executorch:
      return "its weights are not named as the model's; save those of the PyTorch model that it was made of: "
             "torch.save(model.state_dict(), \"model.pth\")";
    case FileKind::pickle:
      return "in Python, of what pickle.load gives: torch.save(tensors, \"model.pth\"), a dict of names and tensors";
    case FileKind::unknown:
      return "if Python's torch reads it, convert it: python3 -c \"import torch; torch.save(torch.load('old.pth', "
             "map_location='cpu'), 'new.pth')\"";
    default:
      break;
  }
  const std::string known = remedy(kind);
  return known.empty() ? "in Python, of the model in PyTorch: torch.save(model.state_dict(), \"model.pth\")" : known;
}

SIGHTGLASS_INLINE void check_in_storage(const std::vector<int64_t>& sizes, const std::vector<int64_t>& strides,
                                        int64_t offset, int64_t count) {
  TORCH_CHECK(sizes.size() == strides.size(), "is damaged: a tensor of ", sizes.size(), " sizes and ", strides.size(),
              " strides");
  constexpr int64_t most = int64_t{1} << 48;
  int64_t last = offset, elements = 1;
  bool sound = 0 <= offset && offset <= count;
  for (size_t d = 0; d < sizes.size() && sound; ++d) {
    const int64_t size = sizes[d], stride = strides[d];
    sound = 0 <= size && size <= most && 0 <= stride && stride <= most && (size == 0 || elements <= most / size) &&
            (size < 2 || stride <= (most - last) / (size - 1));
    if (!sound) break;
    elements *= size;
    last += size < 2 ? 0 : stride * (size - 1);
  }
  TORCH_CHECK(sound && (elements == 0 || last < count), "is damaged: a tensor of sizes ", at::IntArrayRef(sizes),
              " and strides ", at::IntArrayRef(strides), " at ", offset, " leaves its storage of ", count, " elements");
}

SIGHTGLASS_INLINE TorchFile::TorchFile(FileReader file) : file_(std::move(file)) {
  const FileKind kind = kind_of(file_);
  if (kind == FileKind::torch_save)
    open_zip();
  else if (kind == FileKind::torch_save_legacy)
    open_legacy();
  else
    C10_THROW_ERROR(Error,
                    c10::str("is ", describe(kind), ", expected a file of torch.save; ", how_to_get_weights(kind)));
}

SIGHTGLASS_INLINE at::Tensor TorchFile::tensor(const PickledTensor& pickled) {
  check_in_storage(pickled.sizes, pickled.strides, pickled.offset, pickled.storage->count);
  const at::Tensor storage = storage_of(*pickled.storage);
  at::Tensor made = at::empty({0}, at::TensorOptions().dtype(pickled.storage->dtype));
  return made.set_(storage.storage(), pickled.offset, pickled.sizes, pickled.strides);
}

SIGHTGLASS_INLINE void TorchFile::open_zip() {
  archive_ = std::make_unique<ZipArchive>(file_);
  const std::string pickle = "data.pkl";
  for (const auto& [name, record] : archive_->records()) {
    if (name.size() <= pickle.size() || name.compare(name.size() - pickle.size() - 1, std::string::npos, "/" + pickle))
      continue;
    folder_ = name.substr(0, name.size() - pickle.size());
    break;
  }
  const std::string order = folder_ + "byteorder";
  TORCH_CHECK(archive_->records().count(order) == 0 || archive_->bytes(order) == "little",
              "was written on a big-endian machine; load and save it again in Python on this one");
  archive_->bytes(folder_ + pickle);  // for its checksum
  const ZipArchive::Record& record = archive_->record(folder_ + pickle);
  const uint64_t begin = archive_->begin(record);
  cursor_ = std::make_unique<Cursor>(file_, begin, begin + record.size);
  unpickler_ = std::make_unique<Unpickler>(*cursor_);
  top_ = &unpickler_->load();
}

SIGHTGLASS_INLINE void TorchFile::open_legacy() {
  cursor_ = std::make_unique<Cursor>(file_, legacy_magic().size(), file_.size());
  unpickler_ = std::make_unique<Unpickler>(*cursor_);
  unpickler_->load();
  check_machine(unpickler_->load());
  top_ = &unpickler_->load();
  const auto* const keys = unpickler_->load().as<PickledSequence>();
  TORCH_CHECK(keys != nullptr, "is damaged: it has no list of storages");
  uint64_t at = cursor_->at();
  for (const Pickled* key : keys->items) at = add_legacy(key, at);
}

SIGHTGLASS_INLINE void TorchFile::check_machine(const Pickled& machine) {
  const auto* const facts = machine.as<PickledDict>();
  TORCH_CHECK(facts != nullptr, "is damaged: it does not tell of its machine");
  for (const auto& [name, fact] : facts->items) {
    const auto* const text = name->as<std::string>();
    const bool* const flag = fact->as<bool>();
    TORCH_CHECK(text == nullptr || *text != "little_endian" || flag == nullptr || *flag,
                "was written on a big-endian machine; load and save it again in Python on this one");
  }
}

SIGHTGLASS_INLINE uint64_t TorchFile::add_legacy(const Pickled* key, uint64_t at) {
  const auto* const text = key->as<std::string>();
  const PickledStorage* const storage = text == nullptr ? nullptr : unpickler_->storage(*text);
  TORCH_CHECK(storage != nullptr, "is damaged: it lists a storage that nothing uses");
  const int64_t count = static_cast<int64_t>(little_endian(file_.bytes(at, 8).data(), 8));
  TORCH_CHECK(count == storage->count, "is damaged: a storage of ", storage->count, " elements has ", count);
  file_.check(at + 8, bytes_of(*storage));
  TORCH_CHECK(legacy_.emplace(*text, at + 8).second, "is damaged: it lists a storage twice");
  return at + 8 + bytes_of(*storage);
}

SIGHTGLASS_INLINE uint64_t TorchFile::bytes_of(const PickledStorage& storage) const {
  TORCH_CHECK(storage.dtype != c10::ScalarType::Undefined, "has a ", storage.type,
              ", a type that is not read; convert the tensor in Python first");
  const uint64_t element = c10::elementSize(storage.dtype);
  TORCH_CHECK(static_cast<uint64_t>(storage.count) <= file_.size() / element, "is truncated or damaged: a storage of ",
              storage.count, " elements in a file of ", file_.size(), " bytes");
  return static_cast<uint64_t>(storage.count) * element;
}

SIGHTGLASS_INLINE at::Tensor TorchFile::storage_of(const PickledStorage& storage) {
  const uint64_t wanted = bytes_of(storage);
  at::Tensor& bytes = storages_[storage.key];
  if (!bytes.defined()) bytes = read_storage(storage.key, wanted);
  TORCH_CHECK(static_cast<uint64_t>(bytes.numel()) >= wanted, "is damaged: storage \"", storage.key, "\" has ",
              bytes.numel(), " bytes, expected ", wanted);
  return bytes;
}

SIGHTGLASS_INLINE at::Tensor TorchFile::read_storage(const std::string& key, uint64_t wanted) {
  uint64_t begin = 0, size = wanted;
  const ZipArchive::Record* record = nullptr;
  if (archive_ != nullptr) {
    record = &archive_->record(folder_ + "data/" + key);
    begin = archive_->begin(*record);
    size = record->size;
  } else {
    const auto found = legacy_.find(key);
    TORCH_CHECK(found != legacy_.end(), "is damaged: it does not have storage \"", key, "\"");
    begin = found->second;
  }
  read_ += size;
  TORCH_CHECK(read_ <= file_.size(), "is damaged: its storages lie over each other");
  at::Tensor bytes = at::empty({static_cast<int64_t>(size)}, at::TensorOptions().dtype(at::kByte));
  file_.read(begin, size, bytes.data_ptr());
  if (record != nullptr) ZipArchive::check(*record, static_cast<const char*>(bytes.data_ptr()), "data/" + key);
  return bytes;
}

}  // namespace sightglass::detail
