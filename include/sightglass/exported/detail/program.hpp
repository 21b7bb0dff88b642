#pragma once

#include <torch/csrc/jit/api/module.h>

#include <map>
#include <string>
#include <vector>

#include "sightglass/exported/detail/call_spec.hpp"
#include "sightglass/exported/detail/graph_values.hpp"
#include "sightglass/exported/detail/json.hpp"
#include "sightglass/exported/detail/program_archive.hpp"
#include "sightglass/weights/state_dict.hpp"

namespace sightglass::detail {

namespace jit = torch::jit;

/// A program made into a module of TorchScript.
class Program {
 public:
  explicit Program(ProgramArchive& archive);

  const jit::Module& module() const { return module_; }
  const std::string& version() const { return parts_.version; }
  const std::vector<std::string>& layers() const { return parts_.tree.called(); }
  /// Of the user's inputs that are tensors: `whole_of` their sizes, or `example_of`.
  std::vector<std::vector<int64_t>> input_sizes(int64_t (*size_of)(const Json& size)) const;
  /// By name: parameters, buffers, and those of both that Python's state dict has.
  const StateDict& parameters() const { return parameters_; }
  const StateDict& buffers() const { return buffers_; }
  const StateDict& persistent() const { return persistent_; }

 private:
  /// An input of the user's.
  struct Input {
    std::string name;
    c10::TypePtr type;
    const Json* meta = nullptr;  // of a tensor
    c10::IValue fixed;           // what the export has fixed; none for what varies
    bool is_fixed = false;
  };

  // ---- Tensors of the program, and inputs of the user's
  void add_inputs(ProgramArchive& archive);
  void add_state(const std::string& kind, const Json& spec, ProgramArchive& archive);
  void add_tied_names(const ProgramArchive& archive);
  void add_input(const Json& given);
  void add_fixed(const std::string& name, const c10::IValue& value);

  // ---- `forward` of the module
  void make_forward();
  std::vector<std::string> argument_names(const CallSpec& takes) const;
  /// The inputs' leaves, taken out of the arguments and checked.
  std::vector<jit::Value*> take_inputs(jit::Graph& graph, const CallSpec& takes);
  void check_fixed(jit::Graph& graph, jit::Value* value, const Input& input) const;
  jit::Value* give_outputs(GraphValues& values, const CallSpec& gives);
  /// What the graph writes to buffers, parameters and inputs at its end.
  void write(GraphValues& values, const Json& spec);

  Json json_;
  ProgramParts parts_;
  const Json& graph_;
  jit::Module module_;
  std::vector<Input> inputs_;
  std::map<std::string, jit::Value*> input_values_;
  StateDict parameters_, buffers_, persistent_;
};

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/exported/detail/program_inl.hpp"
#endif
