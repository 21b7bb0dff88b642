#pragma once

#include "sightglass/exported/detail/program.hpp"

#include <algorithm>
#include <cctype>
#include <set>
#include <utility>

#include "sightglass/exported/detail/graph_maker.hpp"
#include "sightglass/exported/detail/literals.hpp"
#include "sightglass/exported/detail/size_checks.hpp"
#include "sightglass/exported/detail/size_reads.hpp"
#include "sightglass/inline.hpp"

namespace sightglass::detail {

/// A name that TorchScript can print: letters, digits and underscores.
inline std::string plain_name(const std::string& name, size_t number) {
  std::string plain;
  for (const char letter : name) plain += std::isalnum(static_cast<unsigned char>(letter)) != 0 ? letter : '_';
  const bool fits = !plain.empty() && std::isdigit(static_cast<unsigned char>(plain.front())) == 0;
  return fits ? plain : "x" + std::to_string(number);
}

SIGHTGLASS_INLINE Program::Program(ProgramArchive& archive)
    : json_(archive.program()),
      parts_(parts_of(json_)),
      graph_(json_.at("graph_module").at("graph")),
      module_(parts_.tree.at("")) {
  settle_size_reads(json_.at("graph_module").at("graph"));
  add_inputs(archive);
  make_forward();
  const std::vector<std::vector<int64_t>> sizes = input_sizes(whole_of);
  const int64_t batch = sizes.empty() || sizes.front().empty() ? 0 : std::max<int64_t>(sizes.front().front(), 0);
  module_.register_attribute("exported_batch", c10::IntType::get(), batch);  // 0: open; `Model` and `layer` read it
}

SIGHTGLASS_INLINE std::vector<std::vector<int64_t>> Program::input_sizes(int64_t (*size_of)(const Json& size)) const {
  std::vector<std::vector<int64_t>> all;
  for (const Input& input : inputs_) {
    if (input.meta == nullptr) continue;
    all.emplace_back();
    for (const Json& size : input.meta->at("sizes")) all.back().push_back(size_of(size));
  }
  return all;
}

// ---- Inputs ---------------------------------------------------------------------------------------------------------

SIGHTGLASS_INLINE void Program::add_inputs(ProgramArchive& archive) {
  for (const Json& spec : json_.at("graph_module").at("signature").at("input_specs")) {
    const auto& [kind, held] = member_of(spec);
    if (kind == "user_input") {
      add_input(held.at("arg"));
    } else if (kind == "constant_input") {
      const auto& [type, value] = member_of(held.at("value"));
      add_fixed(held.at("name").get<std::string>(), literal(type, value, c10::AnyType::get()));
    } else {
      add_state(kind, held, archive);
    }
  }
  add_tied_names(archive);
}

SIGHTGLASS_INLINE void Program::add_state(const std::string& kind, const Json& spec, ProgramArchive& archive) {
  TORCH_CHECK(kind == "parameter" || kind == "buffer" || kind == "tensor_constant",
              "has an input of a kind that is not supported (", kind,
              kind == "custom_obj" ? ": an object of a class of TorchScript's); export the model without it" : ")");
  const auto placeholder = spec.at("arg").at("name").get<std::string>();
  if (kind == "tensor_constant") {
    const auto name = spec.at("tensor_constant_name").get<std::string>();
    parts_.state[placeholder] = {name, archive.constant(name)};
    return;
  }
  const auto name = spec.at(kind + "_name").get<std::string>();
  const bool persistent = kind == "parameter" || spec.value("persistent", true);
  parts_.state[placeholder] = {name, at::Tensor()};
  if (parameters_.contains(name) || buffers_.contains(name)) return;  // tied
  at::Tensor tensor = persistent ? archive.weight(name) : archive.constant(name);
  if (kind == "parameter") {
    const Json* const meta = find(graph_.at("tensor_values"), placeholder.c_str());
    const bool trained = meta == nullptr || !parts_.gradients_are_told || meta->at("requires_grad").get<bool>();
    if (trained && (at::isFloatingType(tensor.scalar_type()) || at::isComplexType(tensor.scalar_type())))
      tensor.set_requires_grad(true);
  }
  (kind == "parameter" ? parameters_ : buffers_).insert(name, tensor);
  if (persistent) persistent_.insert(name, tensor);
  parts_.tree.add(name, tensor, kind == "parameter");
}

// Up to PyTorch 2.7 the program has one name for tied weights, and the state dict all.
SIGHTGLASS_INLINE void Program::add_tied_names(const ProgramArchive& archive) {
  const auto is_parameter = [&](const at::Tensor& tensor) {
    return std::any_of(parameters_.begin(), parameters_.end(),
                       [&](const auto& item) { return item.value().is_same(tensor); });
  };
  for (const auto& [name, tensor] : archive.read_weights()) {
    if (persistent_.contains(name)) continue;
    const bool trained = is_parameter(tensor);
    (trained ? parameters_ : buffers_).insert(name, tensor);
    persistent_.insert(name, tensor);
    parts_.tree.add(name, tensor, trained);
  }
}

SIGHTGLASS_INLINE void Program::add_input(const Json& given) {
  const auto& [kind, held] = member_of(given);
  if (kind == "as_tensor") {
    const auto name = held.at("name").get<std::string>();
    inputs_.push_back({name, c10::TensorType::get(), &graph_.at("tensor_values").at(name), c10::IValue(), false});
  } else if (kind == "as_sym_int" || kind == "as_sym_float" || kind == "as_sym_bool") {
    const c10::TypePtr type = kind == "as_sym_int"     ? c10::TypePtr(c10::IntType::get())
                              : kind == "as_sym_float" ? c10::TypePtr(c10::FloatType::get())
                                                       : c10::TypePtr(c10::BoolType::get());
    inputs_.push_back({held.at("as_name").get<std::string>(), type, nullptr, c10::IValue(), false});
  } else {
    add_fixed("", literal(kind, held, c10::AnyType::get()));
  }
}

SIGHTGLASS_INLINE void Program::add_fixed(const std::string& name, const c10::IValue& value) {
  inputs_.push_back({name, value.type(), nullptr, value, true});
}

// ---- forward --------------------------------------------------------------------------------------------------------

SIGHTGLASS_INLINE void Program::make_forward() {
  const Json& signature = json_.at("graph_module").at("module_call_graph").at(0).at("signature");
  const CallSpec takes(signature.at("in_spec").get<std::string>()), gives(signature.at("out_spec").get<std::string>());
  TORCH_CHECK(takes.leaves() == inputs_.size(), "is damaged: it has ", inputs_.size(),
              " inputs, and its call specification ", takes.leaves());
  const auto graph = std::make_shared<jit::Graph>();
  GraphValues values(parts_, *graph, graph->addInput("self")->setType(module_.type()), "");
  const std::vector<jit::Value*> leaves = take_inputs(*graph, takes);
  for (size_t i = 0; i < leaves.size(); ++i) {
    input_values_[inputs_[i].name] = leaves[i];
    values.put(inputs_[i].name, leaves[i]);
  }
  GraphMaker(graph_, values).make();
  graph->registerOutput(give_outputs(values, gives));
  parts_.tree.add_method("", "forward", graph);
}

SIGHTGLASS_INLINE std::vector<std::string> Program::argument_names(const CallSpec& takes) const {
  const Json* const told =
      find(json_.at("graph_module").at("module_call_graph").at(0).at("signature"), "forward_arg_names");
  const CallSpec& positional = takes.parts().at(0);
  const CallSpec& named = takes.parts().at(1);
  std::vector<std::string> names;
  std::set<std::string> seen{"self"};
  size_t leaf = 0;
  for (size_t i = 0; i < positional.parts().size(); ++i) {
    const bool single = positional.parts()[i].leaves() == 1;
    std::string name = single && leaf < inputs_.size() ? inputs_[leaf].name : "";
    if (told != nullptr && i < told->size()) name = told->at(i).get<std::string>();
    names.push_back(plain_name(name, i));
    leaf += positional.parts()[i].leaves();
  }
  for (const c10::IValue& key : named.keys()) names.push_back(plain_name(key.toStringRef(), names.size()));
  for (std::string& name : names) {
    while (!seen.insert(name).second) name += "_";
  }
  return names;
}

SIGHTGLASS_INLINE std::vector<jit::Value*> Program::take_inputs(jit::Graph& graph, const CallSpec& takes) {
  TORCH_CHECK(takes.parts().size() == 2, "is damaged: its call specification has no arguments");
  const std::vector<std::string> names = argument_names(takes);
  std::vector<jit::Value*> leaves;
  struct Argument {
    const CallSpec& spec;
    jit::Value* value;
    std::vector<c10::TypePtr> types;  // of its leaves
  };
  std::vector<Argument> arguments;
  size_t leaf = 0;
  for (const CallSpec& part : takes.parts()) {
    for (const CallSpec& argument : part.parts()) {
      std::vector<c10::TypePtr> types;
      for (size_t i = 0; i < argument.leaves(); ++i) types.push_back(inputs_.at(leaf++).type);
      jit::Value* const value = graph.addInput(names.at(arguments.size()))->setType(argument.type(types));
      arguments.push_back({argument, value, std::move(types)});
    }
  }
  for (const Argument& argument : arguments) argument.spec.unpack(graph, argument.value, leaves, argument.types);
  SizeChecks checks(json_.at("range_constraints"));
  for (size_t i = 0; i < leaves.size(); ++i) {
    if (inputs_[i].is_fixed) check_fixed(graph, leaves[i], inputs_[i]);
    if (inputs_[i].meta != nullptr) checks.insert(graph, leaves[i], inputs_[i].name, *inputs_[i].meta);
  }
  return leaves;
}

SIGHTGLASS_INLINE void Program::check_fixed(jit::Graph& graph, jit::Value* value, const Input& input) const {
  if (input.fixed.isNone()) return;
  jit::Value* const same = graph.insert(c10::aten::eq, {value, graph.insertConstant(input.fixed)});
  insert_check(
      graph, same,
      c10::str("input \"", input.name, "\": it is {}, and the program was exported for ", input.fixed, " only"), value);
}

SIGHTGLASS_INLINE jit::Value* Program::give_outputs(GraphValues& values, const CallSpec& gives) {
  std::vector<jit::Value*> leaves;
  for (const Json& spec : json_.at("graph_module").at("signature").at("output_specs")) {
    const auto& [kind, held] = member_of(spec);
    if (kind == "user_output" || kind == "loss_output") {
      const Json& given = held.at("arg");
      leaves.push_back(kind == "user_output" ? values.argument(given, c10::AnyType::get())
                                             : values.value(given.at("name").get<std::string>()));
    } else {
      write(values, spec);
    }
  }
  TORCH_CHECK(gives.leaves() == leaves.size(), "is damaged: it has ", leaves.size(),
              " outputs, and its call specification ", gives.leaves());
  return gives.pack(values.graph(), leaves);
}

SIGHTGLASS_INLINE void Program::write(GraphValues& values, const Json& spec) {
  const auto& [kind, held] = member_of(spec);
  jit::Value* into = nullptr;
  if (kind == "buffer_mutation" || kind == "parameter_mutation") {
    const auto [path, last] = ModuleTree::split(written_name(kind, held));
    into = values.attribute(path, last);
  } else if (kind == "user_input_mutation") {
    into = input_values_.at(held.at("user_input_name").get<std::string>());
  } else {
    TORCH_CHECK(kind == "token", "gives something of a kind that is not supported (", kind,
                "); export the model itself, not its training step");
    return;
  }
  jit::Value* const from = values.value(held.at("arg").at("name").get<std::string>());
  values.insert("aten::copy_", {into, from});
}

}  // namespace sightglass::detail
