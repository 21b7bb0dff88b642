#include "sightglass/hooks/nearest.hpp"

#include "support/harness/catch.hpp"

using sightglass::nearest;

TEST_CASE("a mistyped name is answered by those that fewest edits lead to, whatever their case and punctuation",
          "[nearest]") {
  const std::vector<std::string> names{"cam", "grad-cam", "grad-cam++", "layer-cam", "score-cam", "random-cam"};
  CHECK(nearest("gradcam", names) == "\"grad-cam\", \"grad-cam++\", \"cam\"");
  CHECK(nearest("GradCAM++", names).find("\"grad-cam\", \"grad-cam++\"") == 0);
  CHECK(nearest("laier-cam", names).find("\"layer-cam\"") == 0);
  CHECK(nearest("scor", names).find("\"score-cam\"") == 0);
  CHECK(nearest("cat", {}) == "none");
}

TEST_CASE("names that hold the word are first, the shortest before the others", "[nearest]") {
  CHECK(nearest("cat", {"cart", "Egyptian cat", "cat house"}) == "\"cat house\", \"Egyptian cat\", \"cart\"");
  CHECK(nearest("猫", {"犬", "黒猫"}) == "\"黒猫\", \"犬\"");
}
