#pragma once

#include "sightglass/exported/detail/program_parts.hpp"

#include "sightglass/exported/detail/call_tree.hpp"
#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE std::string written_name(const std::string& kind, const Json& spec) {
  return spec.at(kind == "buffer_mutation" ? "buffer_name" : "parameter_name").get<std::string>();
}

/// The paths of all modules.
inline std::set<std::string> modules_of(const Json& program) {
  std::set<std::string> modules;
  for (const Json& entry : program.at("graph_module").at("module_call_graph"))
    modules.insert(entry.at("fqn").get<std::string>());
  return modules;
}

inline Written written_by(const Json& program) {
  Written written;
  const Json& specs = program.at("graph_module").at("signature").at("output_specs");
  for (const Json& spec : specs) {
    const auto& [kind, held] = member_of(spec);
    if (kind != "buffer_mutation" && kind != "parameter_mutation" && kind != "user_input_mutation") continue;
    written.values.insert(held.at("arg").at("name").get<std::string>());
    if (kind != "user_input_mutation") written.state.insert(written_name(kind, held));
  }
  for (const Json& spec : specs) {
    const auto& [kind, held] = member_of(spec);
    if (kind != "user_output" && kind != "loss_output") continue;
    for (const std::string& name : names_in(held.at("arg"))) written.values.erase(name);
  }
  return written;
}

/// What calls give, by `path` or `path@1`: of those whose signature the export was told to keep.
inline std::map<std::string, std::vector<std::string>> given_by(const Json& program) {
  std::map<std::string, std::vector<std::string>> gives;
  for (const Json& entry : program.at("graph_module").at("module_call_graph")) {
    const Json* const signature = find(entry, "signature");
    const Json* const outputs = signature == nullptr ? nullptr : find(*signature, "outputs");
    if (outputs != nullptr) gives.emplace(entry.at("fqn").get<std::string>(), names_in(*outputs));
  }
  return gives;
}

/// The types of modules by their paths.
inline std::map<std::string, std::string> types_of(const Json& program, const std::set<std::string>& modules) {
  std::map<std::string, std::string> types;
  for (const Json& node : program.at("graph_module").at("graph").at("nodes")) {
    for (const ModuleCall& call : calls_of(node, modules)) types.emplace(call.path, call.type);
  }
  return types;
}

SIGHTGLASS_INLINE ProgramParts parts_of(const Json& program) {
  constexpr int64_t newest = 8, first_numbered = 8, first_told = 7;  // PyTorch 2.6 on, and 2.5
  TORCH_CHECK(program.is_object(), "is damaged: its program is ", program.type_name());
  const auto schema = program.at("schema_version").at("major").get<int64_t>();
  TORCH_CHECK(schema <= newest, "is of a newer format (schema ", schema, ", known is ", newest,
              "); save it with an older PyTorch, or take a newer sightglass");
  const std::set<std::string> modules = modules_of(program);
  const Json* const version = find(program, "torch_version");
  return {modules,
          ModuleTree(types_of(program, modules)),
          {},
          version == nullptr ? "of an unknown version" : version->get<std::string>(),
          written_by(program),
          given_by(program),
          schema >= first_numbered,
          schema >= first_told};
}

}  // namespace sightglass::detail
