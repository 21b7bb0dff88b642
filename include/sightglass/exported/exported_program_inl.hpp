#pragma once

#include "sightglass/exported/exported_program.hpp"

#include "sightglass/exported/detail/program.hpp"
#include "sightglass/exported/detail/program_archive.hpp"
#include "sightglass/inline.hpp"
#include "sightglass/trace/scopes.hpp"
#include "sightglass/trace/script/script.hpp"
#include "sightglass/trace/script/script_export.hpp"
#include "sightglass/weights/detail/file_reader.hpp"

namespace sightglass {

SIGHTGLASS_INLINE ExportedProgram ExportedProgram::load(const std::string& path, const std::string& model) {
  return detail::naming_file("exported program", path, [&] {
    detail::ProgramArchive archive(path, model);
    const detail::Program program(archive);
    ExportedProgram made;
    static_cast<torch::jit::Module&>(made) = program.module();
    made.layers_ = program.layers();
    made.input_sizes_ = program.input_sizes(detail::whole_of);
    made.example_sizes_ = program.input_sizes(detail::example_of);
    made.version_ = program.version();
    made.parameters_ = program.parameters();
    made.buffers_ = program.buffers();
    made.state_ = program.persistent();
    detail::keep_as_written(made);
    made.training_ = !detail::ExportReader(made).trains().empty();
    return made;
  });
}

SIGHTGLASS_INLINE StateDict ExportedProgram::state_dict() const { return state_; }

template <class Made>
void ExportedProgram::replace_tensors(const Made& made) {
  const detail::NoGraph no_graph;
  for (const at::Tensor& tensor : parameters()) tensor.set_data(made(tensor));
  for (const at::Tensor& tensor : buffers()) tensor.set_data(made(tensor));
}

SIGHTGLASS_INLINE void ExportedProgram::to(at::Device device) {
  for (torch::jit::Module part : modules()) {
    const std::string made = "exported_device";
    if (part.hasattr(made)) part.setattr(made, device);
  }
  replace_tensors([&](const at::Tensor& tensor) { return tensor.to(device); });
}

SIGHTGLASS_INLINE void ExportedProgram::to(at::ScalarType dtype) {
  replace_tensors(
      [&](const at::Tensor& tensor) { return at::isFloatingType(tensor.scalar_type()) ? tensor.to(dtype) : tensor; });
}

SIGHTGLASS_INLINE void ExportedProgram::to(at::Device device, at::ScalarType dtype) {
  to(device);
  to(dtype);
}

SIGHTGLASS_INLINE void ExportedProgram::train(bool on) {
  TORCH_CHECK(on == training_, "the program was exported in ", training_ ? "training" : "evaluation",
              " mode, which the file has fixed; its parameters can be trained as it is; for the other mode, in Python: "
              "torch.export.export(model.",
              on ? "train" : "eval", "(), ...)");
}

SIGHTGLASS_INLINE LoadReport load_state_dict(const ExportedProgram& program, const StateDict& state,
                                             const LoadOptions& options) {
  return detail::load_into(program.state_dict(), state, options);
}

SIGHTGLASS_INLINE LoadReport load_state_dict(const ExportedProgram& program, const std::string& path,
                                             const LoadOptions& options) {
  return detail::load_into(program.state_dict(), path, options);
}

}  // namespace sightglass
