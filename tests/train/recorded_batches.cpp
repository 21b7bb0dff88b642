#include "sightglass/train/recorded_batches.hpp"

#include <stdexcept>
#include <string>

#include "support/harness/catch.hpp"

namespace sg = sightglass;

namespace {

/// Writes down the calls that are made.
struct Diary {
  std::string calls;
  bool full = false;
  void before_fit() { calls += "before_fit "; }
  void before_fit(int64_t batch) { calls += "before_fit(" + std::to_string(batch) + ") "; }
  void before_batch() { calls += "before_batch "; }
  void after_batch() {
    calls += "after_batch ";
    if (full) throw std::runtime_error("disk full");
  }
  void drop_batch() { calls += "drop_batch "; }
  void after_fit() { calls += "after_fit"; }
};

}  // namespace

TEST_CASE("scopes make the four calls of a training loop in order", "[recorded_batches]") {
  Diary diary;
  {
    const sg::FitScope<Diary> fit(diary);
    for (int i = 0; i < 2; ++i) const auto batch = fit.batch();
  }
  CHECK(diary.calls == "before_fit before_batch after_batch before_batch after_batch after_fit");
  Diary resumed;
  { const sg::FitScope<Diary> fit(resumed, 7); }
  CHECK(resumed.calls == "before_fit(7) after_fit");
}

TEST_CASE("a batch that an exception leaves is dropped, and the exception goes on", "[recorded_batches]") {
  Diary diary;
  const auto train = [&] {
    const sg::FitScope<Diary> fit(diary);
    const auto batch = fit.batch();
    throw std::runtime_error("out of memory");
  };
  CHECK_THROWS_WITH(train(), "out of memory");
  CHECK(diary.calls == "before_fit before_batch drop_batch after_fit");
}

TEST_CASE("what ending a batch throws reaches the loop", "[recorded_batches]") {
  Diary diary;
  diary.full = true;
  const auto train = [&] {
    const sg::FitScope<Diary> fit(diary);
    const auto batch = fit.batch();
  };
  CHECK_THROWS_WITH(train(), "disk full");
  CHECK(diary.calls == "before_fit before_batch after_batch after_fit");
}

TEST_CASE("every n-th batch in training mode is recorded, and guards live in those only", "[recorded_batches]") {
  bool training = true;
  int alive = 0;
  const auto watch = [&] {
    ++alive;
    return std::shared_ptr<void>(&alive, [](void* count) { --*static_cast<int*>(count); });
  };
  sg::detail::RecordedBatches batches(
      3, [&] { return training; }, watch);
  std::string recorded;
  for (int i = 0; i < 8; ++i) {
    training = i != 2;  // an evaluation in between does not count
    if (batches.begin()) recorded += std::to_string(i) + " ";
    CHECK(alive == (batches.recording() ? 1 : 0));
    batches.end();
    CHECK(alive == 0);
  }
  CHECK(recorded == "0 4 7 ");
  CHECK(batches.number() == 7);
}

TEST_CASE("a batch that was dropped does not count, and numbers begin where they are told to", "[recorded_batches]") {
  sg::detail::RecordedBatches batches(
      2, [] { return true; }, [] { return std::make_shared<int>(); });
  batches.start_at(4);
  CHECK(batches.begin());
  CHECK(batches.drop());
  CHECK(batches.number() == 4);
  CHECK(batches.begin());
  CHECK(batches.end());
  CHECK_FALSE(batches.begin());
  CHECK_FALSE(batches.end());
  CHECK(batches.number() == 6);
  CHECK_THROWS_WITH(batches.start_at(-1), ContainsSubstring("first_batch: got -1"));
  CHECK_THROWS_WITH(sg::detail::RecordedBatches(0, {}, {}), ContainsSubstring("every: got 0"));
}
