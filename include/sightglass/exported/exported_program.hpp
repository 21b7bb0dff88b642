#pragma once

#include <ATen/ATen.h>
#include <torch/csrc/jit/api/module.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "sightglass/weights/load_state_dict.hpp"

namespace sightglass {

/// A program of `torch.export`, read from a `.pt2` file: a model like any other, with layers, gradients and weights, on
/// any LibTorch that has its operations. Python is not needed.
///
/// It is a `torch::jit::Module`: `forward({x})`, or with the names of Python's keyword arguments `forward({x},
/// {{"mask", mask}})`; lists, tuples and dictionaries of tensors go in and out as the program was exported. All that
/// takes a TorchScript model takes it: hooks, `explain`, metrics, `summary`, statistics; `save` writes TorchScript,
/// which `torch::jit::load` reads without sightglass. Layers have the names of Python's modules (`layer4.1.conv2`),
/// those without parameters included, repeated calls too. A layer that ran no operation is not in the file.
///
/// What the export fixed stays: an input's size that it did not leave open, and evaluation or training. Inputs that do
/// not fit throw an error that names the input and the dimension.
///
/// Formats: https://github.com/pytorch/pytorch/blob/main/torch/_export/serde/schema.py
class ExportedProgram : public torch::jit::Module {
 public:
  /// Reads a file of `torch.export.save`, of PyTorch 2.8 and later or the layout before; on the CPU.
  ///
  /// Throws `c10::Error` with the path and the reason: for a file that is missing, truncated, damaged or of another
  /// kind; for an operation that this LibTorch lacks, by its name; for one that holds graphs other than `torch.cond`
  /// and `while_loop`. Nothing larger than the file is allocated for tensors, and nothing in it is run.
  /// @param model the name of one of several programs in the file; empty: the only one
  static ExportedProgram load(const std::string& path, const std::string& model = "");

  /// Names of the modules that run, in the order in which they begin.
  const std::vector<std::string>& layers() const { return layers_; }

  /// The sizes of the tensors that it takes, in order; -1 where the export has left one open.
  const std::vector<std::vector<int64_t>>& input_sizes() const { return input_sizes_; }
  /// The same of the inputs that it was exported with; -1 where the file does not tell an open one.
  const std::vector<std::vector<int64_t>>& example_sizes() const { return example_sizes_; }

  /// The PyTorch that wrote the file, such as "2.13.0".
  const std::string& version() const { return version_; }

  /// Parameters by name, in Python's order. Tied ones are one tensor under two names.
  const StateDict& named_parameters() const { return parameters_; }
  /// The same for buffers, those that Python's state dict leaves out included.
  const StateDict& named_buffers() const { return buffers_; }
  /// What Python calls the program's state dict. It shares the program's memory.
  StateDict state_dict() const;

  /// Moves all that the program holds, and what it makes while it runs.
  void to(at::Device device);
  /// Converts its floating-point tensors. What the program converts while it runs stays as it was exported.
  void to(at::ScalarType dtype);
  /// Both.
  void to(at::Device device, at::ScalarType dtype);

  /// Throws `c10::Error` for another mode than that of the export, which has fixed it. Parameters can be trained in
  /// either.
  void train(bool on = true);
  /// The same for evaluation.
  void eval() { train(false); }
  /// Whether it was exported in training mode.
  bool is_training() const { return training_; }

 private:
  ExportedProgram() = default;

  /// Puts what is made of a parameter's or buffer's tensor in its place.
  template <class Made>
  void replace_tensors(const Made& made);

  std::vector<std::string> layers_;
  std::vector<std::vector<int64_t>> input_sizes_, example_sizes_;
  std::string version_;
  StateDict parameters_, buffers_, state_;
  bool training_ = false;
};

/// Copies tensors into a program's parameters and buffers by name, see `load_state_dict` of a module.
LoadReport load_state_dict(const ExportedProgram& program, const StateDict& state,
                           const LoadOptions& options = LoadOptions());
/// The same from a file.
LoadReport load_state_dict(const ExportedProgram& program, const std::string& path,
                           const LoadOptions& options = LoadOptions());

}  // namespace sightglass

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/exported/exported_program_inl.hpp"
#endif
