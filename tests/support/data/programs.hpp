#pragma once

#include <ATen/ATen.h>

#include <nlohmann/json.hpp>
#include <sightglass/exported/exported_program.hpp>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "support/data/torch_files.hpp"

/// Exported programs (.pt2), put together by hand.
namespace support {

using Json = nlohmann::json;

inline Json tensor(const std::string& name) { return {{"as_tensor", {{"name", name}}}}; }
inline Json size(const std::string& name) { return {{"as_sym_int", {{"as_name", name}}}}; }
inline Json sizes(const std::vector<int64_t>& fixed) {
  Json all = Json::array();
  for (const int64_t one : fixed) all.push_back({{"as_int", one}});
  return all;
}
inline Json symbol(const std::string& text) { return {{"as_expr", {{"expr_str", text}}}}; }
/// An open size, and what it was in the export's example.
inline Json symbol(const std::string& text, int64_t example) {
  return {{"as_expr", {{"expr_str", text}, {"hint", {{"as_int", example}}}}}};
}
inline Json meta(const Json& of_sizes, bool requires_grad = false) {
  return {{"dtype", 7},
          {"sizes", of_sizes},
          {"requires_grad", requires_grad},
          {"strides", Json::array()},
          {"storage_offset", {{"as_int", 0}}},
          {"layout", 7},
          {"device", {{"type", "cpu"}}}};
}

/// `stack`: the calls that it lies in, `layer4;layer4.1;layer4.1.relu@1`.
inline Json node(const std::string& target, const std::vector<std::pair<std::string, Json>>& inputs,
                 const std::vector<Json>& outputs, const std::string& stack = "") {
  Json given = Json::array();
  for (const auto& [name, value] : inputs) given.push_back({{"name", name}, {"arg", value}});
  std::string calls = "L__self__,,net.Net";
  for (size_t begin = 0; begin < stack.size();) {
    const size_t end = std::min(stack.find(';', begin), stack.size());
    const std::string key = stack.substr(begin, end - begin);
    calls += ";L__" + key + "," + key.substr(0, key.find('@')) + ",net.Part";
    begin = end + 1;
  }
  return {{"target", "torch.ops." + target},
          {"inputs", given},
          {"outputs", outputs},
          {"metadata", {{"nn_module_stack", calls}}}};
}

/// Where the tensors are.
enum class Layout {
  folders,           ///< bytes in folders, as of PyTorch 2.9
  files_in_folders,  ///< a file of torch.save in each folder: 2.8
  files              ///< 2.7 and before
};

/// What torch.save writes of these tensors, floats and int64; those of one storage share it.
inline std::string saved(const std::vector<std::pair<std::string, at::Tensor>>& tensors) {
  std::vector<const void*> storages;
  std::vector<std::pair<std::string, std::string>> records{{"a/data.pkl", ""}, {"a/byteorder", "little"}};
  std::string items;
  for (const auto& [name, value] : tensors) {
    const auto known = std::find(storages.begin(), storages.end(), value.data_ptr());
    const std::string key = std::to_string(known - storages.begin());
    if (known == storages.end()) {
      storages.push_back(value.data_ptr());
      records.emplace_back("a/data/" + key, std::string(static_cast<const char*>(value.data_ptr()), value.nbytes()));
    }
    const std::string type = value.scalar_type() == at::kLong ? "LongStorage" : "FloatStorage";
    items +=
        py_str(name) + py_tensor(py_storage(type, key, value.numel()), 0, value.sizes().vec(), value.strides().vec());
  }
  records.front().second = py_pickle(py_ordered_dict(items));
  return zip_of(records);
}

/// A program of one input `x` and one output, unless it is changed.
struct ProgramFile {
  Json x_sizes = sizes({2, 3});
  std::vector<Json> nodes;
  std::vector<Json> outputs;
  std::vector<std::pair<std::string, at::Tensor>> parameters, buffers, constants;
  Json written = Json::array();  ///< output specs before the user's
  Json ranges = Json::object();
  std::string in_spec =
      R"([1, {"type": "builtins.tuple", "context": "null", "children_spec": [{"type": "builtins.tuple", "context": "null", "children_spec": [{"type": null, "context": null, "children_spec": []}]}, {"type": "builtins.dict", "context": "[]", "children_spec": []}]}])";
  std::string out_spec = R"([1, {"type": null, "context": null, "children_spec": []}])";
  Json user_inputs = Json::array({tensor("x")});
  int64_t schema = 8;
  Layout layout = Layout::folders;

  Json program() const {
    Json inputs = Json::array(), output_specs = written, values = {{"x", meta(x_sizes)}};
    Json given = Json::array(), calls = Json::array();
    const auto add = [&](const std::string& kind, const std::string& name) {
      const std::string called = (kind == "parameter" ? "p_" : kind == "buffer" ? "b_" : "c_") + name;
      Json spec = {{"arg", {{"name", called}}}, {kind + "_name", name}};
      if (kind == "buffer") spec["persistent"] = true;
      inputs.push_back({{kind, spec}});
      values[called] = meta(Json::array(), kind == "parameter");
      given.push_back(tensor(called));
    };
    for (const auto& item : parameters) add("parameter", item.first);
    for (const auto& item : buffers) add("buffer", item.first);
    for (const auto& item : constants) add("tensor_constant", item.first);
    for (const Json& input : user_inputs) {
      inputs.push_back({{"user_input", {{"arg", input}}}});
      given.push_back(input);
      if (input.contains("as_tensor") && !values.contains(input["as_tensor"]["name"]))
        values[input["as_tensor"]["name"].get<std::string>()] = meta(x_sizes);
    }
    Json all_outputs = Json::array();
    for (const Json& spec : written)
      for (const auto& item : spec.items()) all_outputs.push_back({{"as_tensor", item.value()["arg"]}});
    for (const Json& output : outputs) {
      output_specs.push_back({{"user_output", {{"arg", output}}}});
      all_outputs.push_back(output);
    }
    calls.push_back(
        {{"fqn", ""},
         {"signature",
          {{"in_spec", in_spec}, {"out_spec", out_spec}, {"inputs", Json::array()}, {"outputs", Json::array()}}}});
    const Json graph = {{"inputs", given},
                        {"outputs", all_outputs},
                        {"nodes", nodes},
                        {"tensor_values", values},
                        {"sym_int_values", Json::object()}};
    return {{"graph_module",
             {{"graph", graph},
              {"module_call_graph", calls},
              {"signature", {{"input_specs", inputs}, {"output_specs", output_specs}}}}},
            {"range_constraints", ranges},
            {"schema_version", {{"major", schema}, {"minor", 0}}},
            {"torch_version", "2.13.0"}};
  }

  std::string bytes(const std::string& text = "") const {
    const std::string told = text.empty() ? program().dump() : text;
    auto weights = parameters;
    weights.insert(weights.end(), buffers.begin(), buffers.end());
    if (layout == Layout::files)
      return zip_of({{"serialized_exported_program.json", told},
                     {"serialized_state_dict.pt", saved(weights)},
                     {"serialized_constants.pt", saved(constants)},
                     {"version", "8.2"}});
    Records records{{"net/archive_format", "pt2"}, {"net/byteorder", "little"}, {"net/models/model.json", told}};
    if (layout == Layout::files_in_folders) {
      records.emplace_back("net/data/weights/model.pt", saved(weights));
      records.emplace_back("net/data/constants/model.pt", saved(constants));
    } else {
      add_bytes(records, "weights", weights);
      add_bytes(records, "constants", constants);
    }
    return zip_of(records);
  }

 private:
  using Records = std::vector<std::pair<std::string, std::string>>;

  static void add_bytes(Records& records, const std::string& kind,
                        const std::vector<std::pair<std::string, at::Tensor>>& all) {
    Json config = Json::object();
    for (const auto& [name, value] : all) {
      const std::string path = kind + "_" + std::to_string(config.size());
      Json told = meta(sizes(value.sizes().vec()));
      told["dtype"] = value.scalar_type() == at::kLong ? 5 : value.scalar_type() == at::kHalf ? 6 : 7;
      for (const int64_t stride : value.strides()) told["strides"].push_back({{"as_int", stride}});
      config[name] = {{"path_name", path}, {"is_param", true}, {"use_pickle", false}, {"tensor_meta", told}};
      records.emplace_back("net/data/" + kind + "/" + path,
                           std::string(static_cast<const char*>(value.data_ptr()), value.nbytes()));
    }
    records.emplace_back("net/data/" + kind + "/model_" + kind + "_config.json", Json{{"config", config}}.dump());
  }
};

inline sightglass::ExportedProgram load(const ProgramFile& file) {
  const Folder folder;
  return sightglass::ExportedProgram::load(write_bytes(folder / "net.pt2", file.bytes()));
}

inline at::Tensor run(const ProgramFile& file, const at::Tensor& x) { return load(file).forward({x}).toTensor(); }

/// fc(relu(x)), the relu in a block.
inline ProgramFile small_program() {
  ProgramFile file;
  file.parameters = {{"fc.weight", at::arange(6, at::kFloat).view({2, 3})}, {"fc.bias", at::ones({2})}};
  file.nodes = {node("aten.relu.default", {{"self", tensor("x")}}, {tensor("relu")}, "block;block.act"),
                node("aten.linear.default",
                     {{"input", tensor("relu")}, {"weight", tensor("p_fc.weight")}, {"bias", tensor("p_fc.bias")}},
                     {tensor("linear")}, "fc")};
  file.outputs = {tensor("linear")};
  return file;
}

/// A call specification of a dictionary with two tensors.
inline const char* const two_leaves =
    R"([1, {"type": "builtins.tuple", "context": "null", "children_spec": [{"type": "builtins.tuple", "context": "null", "children_spec": [{"type": "builtins.dict", "context": "[\"image\", \"mask\"]", "children_spec": [{"type": null, "context": null, "children_spec": []}, {"type": null, "context": null, "children_spec": []}]}]}, {"type": "builtins.dict", "context": "[]", "children_spec": []}]}])";

}  // namespace support
