#include "sightglass/trace/nearest.hpp"

#include "support/harness/catch.hpp"

using sightglass::detail::edit_distance;
using sightglass::detail::nearest;

TEST_CASE("the edit distance counts insertions, deletions and substitutions", "[nearest]") {
  CHECK(edit_distance("layer4", "layer4") == 0);
  CHECK(edit_distance("layer5", "layer4") == 1);
  CHECK(edit_distance("layer", "layer4") == 1);
  CHECK(edit_distance("layer4.1", "layer4") == 2);
  CHECK(edit_distance("kitten", "sitting") == 3);
  CHECK(edit_distance("", "abc") == 3);
  CHECK(edit_distance("abc", "") == 3);
}

TEST_CASE("the three nearest names are listed, nearest first, ties in their order", "[nearest]") {
  CHECK(nearest("layer5", {"conv1", "layer3", "layer41", "layer4"}) == "\"layer3\", \"layer4\", \"layer41\"");
  CHECK(nearest("x", {"y"}) == "\"y\"");
  CHECK(nearest("x", {}) == "none");
}
