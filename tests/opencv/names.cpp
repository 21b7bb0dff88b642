#include "sightglass/opencv/detail/names.hpp"

#include <cstddef>
#include <set>
#include <string>
#include <vector>

#include "support/harness/catch.hpp"

using sightglass::detail::Text;
using sightglass::detail::told_apart;
using Names = std::vector<std::string>;

namespace {

double width_of(const std::string& text) { return Text{text, 10}.width(); }

/// The 52 convolutions of a MobileNetV2 in a wrapper, as a program of today names them.
Names of_mobilenet() {
  Names names{"module.backbone.features.0.0"};
  for (int block = 1; block <= 17; ++block) {
    const std::string at = "module.backbone.features." + std::to_string(block) + ".conv.";
    if (block > 1) names.push_back(at + "0.0");
    names.push_back(at + (block > 1 ? "1.0" : "0.0"));
    names.push_back(at + (block > 1 ? "2" : "1"));
  }
  names.push_back("module.backbone.features.18.0");
  return names;
}

/// "head...tail" belongs to no other name than its own.
bool belongs_to_one(const std::string& text, const Names& names) {
  const size_t dots = text.find("...");
  const std::string head = text.substr(0, dots), tail = dots == std::string::npos ? "" : text.substr(dots + 3);
  size_t owners = 0;
  for (const std::string& name : names) {
    const size_t at = name.find(head);
    if (at == std::string::npos || name.size() < tail.size()) continue;
    if (dots == std::string::npos ? name.substr(at) == text : name.substr(name.size() - tail.size()) == tail) ++owners;
  }
  return owners == 1;
}

}  // namespace

TEST_CASE("names that fit stay as they are") {
  const Names names{"net.layer1.conv", "net.layer2.conv"};
  CHECK(told_apart(names, 500, 10) == names);
  CHECK(told_apart({}, 10, 10).empty());
}

TEST_CASE("names that do not fit lose the beginning that all share, up to a dot") {
  const Names names{"module.backbone.layer1.conv", "module.backbone.layer2.conv"};
  CHECK(told_apart(names, width_of("layer2.conv"), 10) == Names{"layer1.conv", "layer2.conv"});
  // "con" is shared too, but is no word.
  CHECK(told_apart({"module.conv", "module.constant"}, width_of("constant"), 10) == Names{"conv", "constant"});
  // A name that is another's beginning keeps its last word.
  CHECK(told_apart({"module.conv", "module.conv.bias"}, width_of("conv.bias"), 10) == Names{"conv", "conv.bias"});
}

TEST_CASE("a name that is still too long is cut in the middle") {
  const Names texts = told_apart({"alpha.first.omega", "b"}, width_of("alpha...omega"), 10);
  CHECK(texts == Names{"alpha...omega", "b"});
  // No dot of the name joins the three.
  CHECK(told_apart({"aaaa.bbbbbbbb.cccc", "b"}, width_of("aaaa....cccc"), 10)[0] == "aaaa...cccc");
}

TEST_CASE("the cut is made where names do not differ") {
  // In the middle, "a1...z" would stand for both; nearer to the end it does not.
  const Names names{"a1aaaaaaaaaaaaaaaaaaaaaaaaaaaaa1z", "a1aaaaaaaaaaaaaaaaaaaaaaaaaaaaa2z",
                    "a2aaaaaaaaaaaaaaaaaaaaaaaaaaaaa1z"};
  const Names texts = told_apart(names, width_of("a1aa...aa1z"), 10);
  for (const std::string& text : texts) CHECK(belongs_to_one(text, names));
  CHECK(texts[0].substr(0, 2) == "a1");
  CHECK(texts[0].substr(texts[0].size() - 2) == "1z");
}

TEST_CASE("where no cut tells names apart, their numbers do") {
  const std::string same(30, 'x');
  const Names texts = told_apart({same + "1" + same, same + "2" + same}, width_of("xxxxxxxxxxx"), 10);
  CHECK(texts[0].substr(0, 3) == "1: ");
  CHECK(texts[1].substr(0, 3) == "2: ");
  for (const std::string& text : texts) CHECK(width_of(text) <= width_of("xxxxxxxxxxx") + 0.5);
}

TEST_CASE("the names of 52 layers stay 52, each within its width") {
  const Names names = of_mobilenet();
  REQUIRE(names.size() == 52);
  for (const double width : {60., 90., 120., 200.}) {
    const Names texts = told_apart(names, width, 10);
    CHECK(std::set<std::string>(texts.begin(), texts.end()).size() == 52);
    for (const std::string& text : texts) {
      CHECK(width_of(text) <= width + 0.5);
      CHECK(text.find("module.") == std::string::npos);
    }
  }
}
