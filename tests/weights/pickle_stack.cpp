#include "sightglass/weights/detail/pickle_stack.hpp"

#include "support/harness/catch.hpp"

using namespace sightglass::detail;

TEST_CASE("values are taken since the last mark only", "[pickle_stack]") {
  PickleStack stack;
  stack.push(int64_t{1});
  stack.mark();
  CHECK_THROWS_AS(stack.pop(), c10::Error);
  CHECK_THROWS_AS(stack.pop_last(1), c10::Error);
  stack.push(int64_t{2});
  stack.push(int64_t{3});
  CHECK(stack.pop_marked().size() == 2);
  CHECK(*stack.pop().as<int64_t>() == 1);
  CHECK_THROWS_AS(stack.pop(), c10::Error);
  CHECK_THROWS_AS(stack.pop_marked(), c10::Error);
}

TEST_CASE("what was kept is recalled, until the next pickle begins", "[pickle_stack]") {
  PickleStack stack;
  Pickled& first = stack.push(true);
  stack.remember();
  stack.remember(uint64_t{1} << 31);
  stack.recall(0);
  stack.recall(uint64_t{1} << 31);
  CHECK(&stack.top() == &first);
  CHECK_THROWS_WITH(stack.recall(7), ContainsSubstring("recalls what it never kept"));
  stack.begin();
  CHECK_THROWS_AS(stack.recall(0), c10::Error);
  CHECK_THROWS_AS(stack.top(), c10::Error);
}
