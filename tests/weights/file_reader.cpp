#include "sightglass/weights/detail/file_reader.hpp"

#include "support/harness/catch.hpp"
#include "support/data/torch_files.hpp"

using sightglass::detail::Cursor;
using sightglass::detail::FileReader;

TEST_CASE("a file is read by place, never beyond its end", "[file_reader]") {
  const support::Folder folder;
  FileReader file(support::write_bytes(folder / "f", "abcdef"));
  CHECK(file.size() == 6);
  CHECK(file.bytes(2, 3) == "cde");
  CHECK(file.bytes(6, 0).empty());
  CHECK_THROWS_WITH(file.bytes(2, 5), ContainsSubstring("5 bytes at 2 are asked for, the file has 6"));
  CHECK_THROWS_AS(file.bytes(~uint64_t{0}, 2), c10::Error);
  CHECK_THROWS_AS(file.bytes(0, uint64_t{1} << 62), c10::Error);
  CHECK(file.bytes(0, 6) == "abcdef");  // still usable
}

TEST_CASE("what is no regular file is refused", "[file_reader]") {
  const support::Folder folder;
  CHECK_THROWS_WITH(FileReader(folder / "none"), ContainsSubstring("no such file"));
  CHECK_THROWS_WITH(FileReader(folder / "."), ContainsSubstring("is not a regular file"));
}

TEST_CASE("a cursor goes through its part of the file", "[file_reader]") {
  const support::Folder folder;
  FileReader file(support::write_bytes(folder / "f", "..\x01\x02name\nrest" + std::string(100000, 'x') + "end"));
  Cursor cursor(file, 2, file.size() - 1);
  CHECK(cursor.number(2) == 0x0201);
  CHECK(cursor.line() == "name");
  CHECK(cursor.bytes(4) == "rest");
  CHECK(cursor.bytes(100000) == std::string(100000, 'x'));
  CHECK(cursor.byte() == 'e');
  CHECK(cursor.at() == file.size() - 2);
  CHECK_THROWS_WITH(cursor.bytes(2), ContainsSubstring("2 bytes are asked for, 1 are left"));
  Cursor endless(file, 15, file.size());
  CHECK_THROWS_WITH(endless.line(), ContainsSubstring("a name is longer than"));
}
