#pragma once

#include "sightglass/exported/detail/graph_maker.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "sightglass/exported/detail/higher_order.hpp"
#include "sightglass/exported/detail/insert_operation.hpp"
#include "sightglass/inline.hpp"
#include "sightglass/weights/detail/file_reader.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE void GraphMaker::make() {
  const ProgramParts& parts = values_.parts();
  make(call_tree(source_.at("nodes"), parts.modules, parts.calls_are_numbered));
}

SIGHTGLASS_INLINE void GraphMaker::make(const CallTree& calls) {
  for (const CallTree::Item& item : calls.items) {
    if (const auto* const inner = std::get_if<std::unique_ptr<CallTree>>(&item))
      make_call(**inner);
    else
      make_operation(source_.at("nodes").at(std::get<size_t>(item)));
  }
}

SIGHTGLASS_INLINE void GraphMaker::make_call(const CallTree& call) {
  const std::string& path = call.call.path;
  std::vector<std::string> outputs = outputs_of(call);
  const std::map<std::string, std::string> returned = take_returned(call, outputs);
  // A module that lies elsewhere cannot be called from here: its operations are the caller's.
  if (outputs.empty() || path == values_.path() || !ModuleTree::lies_in(path, values_.path())) return make(call);
  ModuleTree& tree = values_.parts().tree;
  const std::string method = tree.next_forward(path);
  const auto graph = std::make_shared<jit::Graph>();
  jit::Value* const self = graph->addInput("self")->setType(tree.at(path).type());
  std::vector<jit::Value*> given{values_.attribute(path, "")};
  GraphValues inside(values_.parts(), *graph, self, path);
  for (const std::string& name : inputs_of(call)) {
    given.push_back(values_.value(name));
    inside.put(name, graph->addInput()->setType(given.back()->type()));
  }
  GraphMaker(*this, inside).make(call);
  std::vector<jit::Value*> results;
  for (const std::string& name : outputs) results.push_back(inside.value(name));
  const bool several = results.size() > 1;
  graph->registerOutput(several ? graph->insertNode(graph->createTuple(results))->output() : results.front());
  jit::Graph& around = values_.graph();
  jit::Node* const node = around.insertNode(around.create(c10::prim::CallMethod, given));
  node->s_(c10::attr::name, method);
  node->output()->setType(graph->outputs().at(0)->type());
  tree.add_method(path, method, graph);
  jit::Node* const unpacked = several ? around.insertNode(around.createTupleUnpack(node->output())) : node;
  for (size_t i = 0; i < outputs.size(); ++i) values_.put(outputs[i], unpacked->output(i));
  for (const auto& [name, source] : returned) values_.put(name, values_.value(source));
}

SIGHTGLASS_INLINE void GraphMaker::make_operation(const Json& node) {
  const auto target = node.at("target").get<std::string>();
  const std::string higher = "torch.ops.higher_order.";
  naming_file("operation", target, [&] {
    if (target.rfind(higher, 0) == 0)
      insert_higher_order(values_, node, target.substr(higher.size()));
    else
      insert_operation(values_, node);
  });
}

SIGHTGLASS_INLINE std::vector<std::string> GraphMaker::inputs_of(const CallTree& call) const {
  const auto& states = values_.parts().state;
  const auto own = [&](const std::string& name) {
    const auto state = states.find(name);
    if (state == states.end() || values_.has(name)) return false;
    return state->second.constant.defined() ||
           ModuleTree::lies_in(ModuleTree::split(state->second.name).first, call.call.path);
  };
  std::vector<std::string> inputs;
  std::set<std::string> seen;
  for (size_t i = call.begin; i < call.end; ++i) {
    for (const Json& input : source_.at("nodes").at(i).at("inputs")) {
      for (const std::string& name : names_in(input.at("arg"))) {
        const auto made = uses_->made.find(name);
        const bool inside = made != uses_->made.end() && made->second >= call.begin;
        if (!inside && !own(name) && seen.insert(name).second) inputs.push_back(name);
      }
    }
  }
  return inputs;
}

SIGHTGLASS_INLINE std::vector<std::string> GraphMaker::outputs_of(const CallTree& call) const {
  std::vector<std::string> outputs, others;  // what the module gives comes first
  const auto is_used = [&](const std::map<std::string, size_t>& uses, const std::string& name) {
    const auto use = uses.find(name);
    return use != uses.end() && use->second >= call.end;
  };
  for (size_t i = call.begin; i < call.end; ++i) {
    for (const std::string& name : names_in(source_.at("nodes").at(i).at("outputs"))) {
      if (!is_used(uses_->last, name)) continue;
      const bool is_only_written =
          uses_->last.at(name) == source_.at("nodes").size() && values_.parts().written.values.count(name) != 0;
      (is_used(uses_->needed, name) && !is_only_written ? outputs : others).push_back(name);
    }
  }
  sort_outputs(call, outputs);
  outputs.insert(outputs.end(), others.begin(), others.end());
  return outputs;
}

SIGHTGLASS_INLINE void GraphMaker::sort_outputs(const CallTree& call, std::vector<std::string>& outputs) const {
  const auto& gives = values_.parts().gives;
  const size_t number = call.call.key.rfind('@');
  const auto told = gives.find(call.call.path + (number == std::string::npos ? "" : call.call.key.substr(number)));
  if (told != gives.end()) {
    const auto place = [&](const std::string& name) {
      return std::find(told->second.begin(), told->second.end(), name) - told->second.begin();
    };
    std::stable_sort(outputs.begin(), outputs.end(),
                     [&](const std::string& one, const std::string& other) { return place(one) < place(other); });
  } else if (!outputs.empty()) {
    const size_t last = uses_->made.at(outputs.back());
    std::stable_partition(outputs.begin(), outputs.end(),
                          [&](const std::string& name) { return uses_->made.at(name) == last; });
  }
}

SIGHTGLASS_INLINE std::map<std::string, std::string> GraphMaker::take_returned(
    const CallTree& call, std::vector<std::string>& outputs) const {
  std::map<std::string, std::string> all;
  for (size_t i = 0; i < outputs.size() && outputs.size() > 1;) {
    const std::string source = returned(call, outputs[i]);
    if (source.empty()) {
      ++i;
    } else {
      all.emplace(outputs[i], source);
      outputs.erase(outputs.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }
  return all;
}

SIGHTGLASS_INLINE std::string GraphMaker::returned(const CallTree& call, const std::string& name) const {
  std::string source = name;
  for (size_t behind = call.end;;) {
    const auto made = uses_->made.find(source);
    if (made == uses_->made.end() || made->second < call.begin) return source == name ? "" : source;
    const Json& node = source_.at("nodes").at(made->second);
    const auto target = node.at("target").get<std::string>();
    if (made->second >= behind || node.at("inputs").empty()) return "";  // damaged
    if (target.rfind("torch.ops.aten.to.", 0) != 0 && target != "torch.ops.aten.contiguous.default") return "";
    const std::vector<std::string> given = names_in(node.at("inputs").at(0).at("arg"));
    const Json* const before = given.empty() ? nullptr : find(source_.at("tensor_values"), given.front().c_str());
    const Json* const after = find(source_.at("tensor_values"), source.c_str());
    if (before == nullptr || after == nullptr) return "";
    for (const char* fact : {"dtype", "device", "layout", "sizes", "strides"})
      if (before->at(fact) != after->at(fact)) return "";
    behind = made->second;
    source = given.front();
  }
}

}  // namespace sightglass::detail
