#include "support/workers.hpp"

#include "support/harness/catch.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using support::in_order;
using support::Workers;

namespace {

std::vector<size_t> up_to(size_t count) {
  std::vector<size_t> numbers(count);
  std::iota(numbers.begin(), numbers.end(), size_t{0});
  return numbers;
}

std::vector<Workers<std::string>::Work> works(size_t count, const Workers<std::string>::Work& work) {
  return std::vector<Workers<std::string>::Work>(count, work);
}

const auto never = [] { return false; };

}  // namespace

TEST_CASE("what workers do is taken in order, however long each takes, and never far ahead", "[workers]") {
  std::atomic<size_t> begun{0}, farthest{0};
  size_t taken = 0;
  std::string all;
  {
    Workers<std::string> workers(works(4, [&](size_t number) {
      ++begun;
      std::this_thread::sleep_for(std::chrono::microseconds(number % 3 * 300));
      return std::to_string(number) + " ";
    }));
    in_order(
        workers, up_to(100), 8,
        [&](size_t number, const std::string& text) {
          CHECK(text == std::to_string(number) + " ");
          farthest = std::max<size_t>(farthest, begun - taken++);
          all += text;
        },
        never);
  }
  std::string expected;
  for (size_t i = 0; i < 100; ++i) expected += std::to_string(i) + " ";
  CHECK(all == expected);
  CHECK(farthest <= 8);
}

TEST_CASE("what a worker throws is thrown to whoever takes, after what came before it", "[workers]") {
  Workers<std::string> workers(works(3, [](size_t number) -> std::string {
    if (number == 5) throw std::runtime_error("number 5");
    return "";
  }));
  size_t taken = 0;
  CHECK_THROWS_WITH(in_order(
                        workers, up_to(50), 6, [&](size_t, const std::string&) { ++taken; }, never),
                    "number 5");
  CHECK(taken == 5);
}

TEST_CASE("no more is begun once it is to stop, and what was begun is taken", "[workers]") {
  std::atomic<size_t> begun{0};
  size_t taken = 0;
  Workers<std::string> workers(works(2, [&](size_t) {
    ++begun;
    return std::string();
  }));
  in_order(
      workers, up_to(50), 4, [&](size_t, const std::string&) { ++taken; }, [&] { return taken >= 3; });
  CHECK(taken == begun);
  CHECK(taken == 6);  // three were under way or asked for
}
