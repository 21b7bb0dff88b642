#include "sightglass/opencv/grid.hpp"

#include <string>
#include <vector>

#include "support/harness/catch.hpp"

using sightglass::grid;
using sightglass::GridOptions;
using sightglass::Tile;

namespace {

const cv::Scalar red(0, 0, 255), green(0, 255, 0), white(255, 255, 255);

cv::Mat plain(int height, int width, const cv::Scalar& colour) { return cv::Mat(height, width, CV_8UC3, colour); }

bool is_all(const cv::Mat& part, const cv::Scalar& colour) {
  return cv::norm(part, cv::Mat(part.size(), CV_8UC3, colour), cv::NORM_INF) == 0;
}

}  // namespace

TEST_CASE("pictures stand side by side with the gap around each") {
  const cv::Mat drawn = grid({{plain(8, 10, red), ""}, {plain(8, 10, green), ""}}, GridOptions().columns(2).gap(4));
  REQUIRE(drawn.size() == cv::Size(4 + 10 + 4 + 10 + 4, 4 + 8 + 4));
  CHECK(is_all(drawn(cv::Rect(4, 4, 10, 8)), red));
  CHECK(is_all(drawn(cv::Rect(18, 4, 10, 8)), green));
  CHECK(is_all(drawn.colRange(14, 18), white));
  CHECK(is_all(drawn.rowRange(0, 4), white));
}

TEST_CASE("rows fill from the left, as many columns as rows by default") {
  const std::vector<Tile> five(5, Tile{plain(2, 2, red), ""});
  CHECK(grid(five, GridOptions().gap(1)).size() == cv::Size(1 + 3 * 3, 1 + 2 * 3));
  CHECK(grid(five, GridOptions().gap(1).columns(5)).size() == cv::Size(1 + 5 * 3, 1 + 3));
  const cv::Mat drawn = grid(five, GridOptions().gap(1).background(green));
  CHECK(is_all(drawn(cv::Rect(7, 4, 3, 3)), green));  // the sixth place is empty
}

TEST_CASE("a picture is fitted into its cell, its proportions kept") {
  const cv::Mat drawn =
      grid({{plain(10, 40, red), ""}, {plain(20, 20, green), ""}}, GridOptions().gap(0).columns(2).cell({20, 20}));
  REQUIRE(drawn.size() == cv::Size(40, 20));
  CHECK(is_all(drawn(cv::Rect(0, 7, 20, 5)), red));  // 20 x 5, (20 - 5) / 2 from above
  CHECK(is_all(drawn(cv::Rect(0, 0, 20, 7)), white));
  CHECK(is_all(drawn(cv::Rect(20, 0, 20, 20)), green));
}

TEST_CASE("a row is only as high as its highest picture") {
  const cv::Mat drawn = grid({{plain(30, 10, red), ""}, {plain(10, 10, green), ""}}, GridOptions().gap(2).columns(1));
  CHECK(drawn.size() == cv::Size(14, 2 + 30 + 2 + 10 + 2));
}

TEST_CASE("grey pictures and blank places stand among the others") {
  const cv::Mat drawn =
      grid({{cv::Mat(4, 4, CV_8UC1, cv::Scalar(9)), ""}, {cv::Mat(), ""}}, GridOptions().gap(0).columns(2));
  REQUIRE(drawn.size() == cv::Size(8, 4));
  CHECK(is_all(drawn.colRange(0, 4), cv::Scalar(9, 9, 9)));
  CHECK(is_all(drawn.colRange(4, 8), white));
}

TEST_CASE("a label stands under its own picture and stays within its column") {
  const std::string label = "a label that is much too long for a column of 100 pixels";
  const cv::Mat drawn =
      grid({{plain(50, 100, red), label}, {plain(50, 100, green), ""}}, GridOptions().gap(10).columns(2));
  const cv::Mat below = drawn.rowRange(60, drawn.rows);
  CHECK(drawn.rows > 80);
  CHECK_FALSE(is_all(below.colRange(10, 110), white));
  CHECK(is_all(below.colRange(0, 8), white));
  CHECK(is_all(below.colRange(112, drawn.cols), white));
  CHECK(is_all(drawn.rowRange(drawn.rows - 6, drawn.rows), white));  // nothing runs out below
}

TEST_CASE("titles stand above the columns and left of the rows") {
  const std::vector<Tile> four(4, Tile{plain(60, 60, red), ""});
  const cv::Mat bare = grid(four, GridOptions().columns(2).gap(10));
  const cv::Mat drawn = grid(four, GridOptions().gap(10).column_titles({"photo", "map"}).row_titles({"cat", "dog"}));
  const int left = drawn.cols - bare.cols, above = drawn.rows - bare.rows;
  CHECK(left > 10);
  CHECK(above > 10);
  CHECK(is_all(drawn(cv::Rect(left + 10, above + 10, 60, 60)), red));
  CHECK_FALSE(is_all(drawn(cv::Rect(left + 10, 0, 60, above + 10)), white));
  CHECK_FALSE(is_all(drawn(cv::Rect(0, above + 10, left, 60)), white));
  CHECK(is_all(drawn(cv::Rect(0, 0, left, above)), white));
}

TEST_CASE("text is light on a dark background") {
  const cv::Mat drawn = grid({{plain(50, 100, red), "cat"}}, GridOptions().background(cv::Scalar(20, 20, 20)));
  double low = 0, high = 0;
  cv::minMaxLoc(drawn.rowRange(64, drawn.rows).clone().reshape(1), &low, &high);
  CHECK(low == 20);
  CHECK(high > 150);
}

TEST_CASE("a grid that cannot be drawn is an error that says what got") {
  const std::vector<Tile> three(3, Tile{plain(2, 2, red), ""});
  const auto draw = [](const std::vector<Tile>& tiles, const GridOptions& options) { return grid(tiles, options); };
  CHECK_THROWS_WITH(draw({}, GridOptions()), ContainsSubstring("tiles: are none"));
  CHECK_THROWS_WITH(draw({Tile{cv::Mat(), ""}}, GridOptions()), ContainsSubstring("all 1 pictures are empty"));
  CHECK_THROWS_WITH(draw({Tile{cv::Mat(2, 2, CV_32FC3), ""}}, GridOptions()),
                    ContainsSubstring("tile 0: is of type CV_32FC3"));
  CHECK_THROWS_WITH(draw(three, GridOptions().columns(2).column_titles({"one"})),
                    ContainsSubstring("column titles: are 1; expected one for each of 2"));
  CHECK_THROWS_WITH(draw(three, GridOptions().columns(2).row_titles({"one"})),
                    ContainsSubstring("row titles: are 1; expected one for each of 2"));
  CHECK_THROWS_WITH(draw(three, GridOptions().gap(-1)), ContainsSubstring("gap -1"));
}
