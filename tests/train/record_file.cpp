#include "sightglass/train/record_file.hpp"

#include "support/harness/catch.hpp"
#include "support/harness/scratch_file.hpp"

namespace sg = sightglass;
using sg::detail::RecordFile;
using support::ScratchFile;

namespace {

int64_t number(const std::string& line) { return std::stoll(line); }
const std::string header = "batch,value\n";
const sg::detail::LineFormat format{header, "", number};
/// One line a batch, no header.
const sg::detail::LineFormat lines{"", "#", [](const std::string& line) { return number(line.substr(1)); }};

}  // namespace

TEST_CASE("records are in the file as soon as they are written", "[record_file]") {
  const ScratchFile file("record_file.txt");
  RecordFile records(file.path(), sg::Existing::append, format);
  CHECK(file.read() == header);
  records.write("0,a\n");
  CHECK(file.read() == header + "0,a\n");
  CHECK(!records.last_batch());
}

TEST_CASE("a run is resumed by appending, or its file written anew", "[record_file]") {
  const ScratchFile file("record_file.txt");
  file.write(header + "0,a\n2,b\n");
  {
    RecordFile records(file.path(), sg::Existing::append, format);
    CHECK(records.last_batch() == 2);
    records.write("4,c\n");
  }
  CHECK(file.read() == header + "0,a\n2,b\n4,c\n");
  const RecordFile anew(file.path(), sg::Existing::replace, format);
  CHECK(file.read() == header);
}

TEST_CASE("what a crash left unfinished is cut off", "[record_file]") {
  const ScratchFile file("record_file.txt");
  const auto repaired = [&](const std::string& text) {
    file.write(text);
    const RecordFile records(file.path(), sg::Existing::append, format);
    return file.read() + std::to_string(records.last_batch().value_or(-1));
  };
  CHECK(repaired(header + "0,a\n0,b\n2,a\n2,") == header + "0,a\n0,b\n0");
  CHECK(repaired(header + "0,a\n0,b\n2,a\n") == header + "0,a\n0,b\n0");
  CHECK(repaired(header + "0,a\n0,b\n2") == header + "0,a\n0,b\n0");
  CHECK(repaired(header + "0,a\n0,") == header + "-1");
  CHECK(repaired("batch,va") == header + "-1");
  CHECK(repaired("") == header + "-1");
}

TEST_CASE("a file without a header is repaired too", "[record_file]") {
  const ScratchFile file("record_file.txt");
  file.write("#0 a\n#2 b\n#4");
  {
    RecordFile records(file.path(), sg::Existing::append, lines);
    CHECK(records.last_batch() == 2);
    records.write("#4 c\n");
  }
  CHECK(file.read() == "#0 a\n#2 b\n#4 c\n");
  file.write("#");
  const RecordFile records(file.path(), sg::Existing::append, lines);
  CHECK(file.read().empty());
}

TEST_CASE("batches from a number on can be forgotten", "[record_file]") {
  const ScratchFile file("record_file.txt");
  file.write(header + "0,a\n0,b\n2,a\n2,b\n4,a\n4,b\n");
  RecordFile records(file.path(), sg::Existing::append, format);
  records.forget_from(2);
  records.write("2,c\n");
  CHECK(file.read() == header + "0,a\n0,b\n2,c\n");
}

TEST_CASE("files that hold something else, or cannot be written, are refused", "[record_file]") {
  const ScratchFile file("record_file.txt");
  file.write("my notes\n0,a\n");
  CHECK_THROWS_WITH(RecordFile(file.path(), sg::Existing::append, format),
                    ContainsSubstring("holds something else") && ContainsSubstring("Existing::replace"));
  CHECK(file.read() == "my notes\n0,a\n");
  file.write("my notes");
  CHECK_THROWS_WITH(RecordFile(file.path(), sg::Existing::append, format), ContainsSubstring("holds something else"));
  CHECK_THROWS_WITH(RecordFile(file.path(), sg::Existing::append, lines), ContainsSubstring("holds something else"));
  CHECK(file.read() == "my notes");
  CHECK_THROWS_WITH(RecordFile("/nowhere/at/all.csv", sg::Existing::append, format),
                    ContainsSubstring("\"/nowhere/at/all.csv\" cannot be opened"));
}
