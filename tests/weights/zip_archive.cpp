#include "sightglass/weights/detail/zip_archive.hpp"

#include "support/harness/catch.hpp"
#include "support/data/torch_files.hpp"

using namespace sightglass::detail;

TEST_CASE("the checksum is that of zip files", "[zip_archive]") {
  CHECK(crc32("123456789", 9) == 0xCBF43926);  // the check value of CRC-32
}

TEST_CASE("records of a zip file are found by name", "[zip_archive]") {
  const support::Folder folder;
  FileReader file(support::write_bytes(folder / "z", support::zip_of({{"a/b", "first"}, {"a/c", ""}})));
  CHECK(ZipArchive::is_zip(file));
  const ZipArchive archive(file);
  CHECK(archive.records().size() == 2);
  CHECK(archive.bytes("a/b") == "first");
  CHECK(archive.bytes("a/c").empty());
  CHECK_THROWS_WITH(archive.bytes("a/d"), ContainsSubstring("it has no record \"a/d\""));
}

TEST_CASE("a record whose checksum is wrong is refused", "[zip_archive]") {
  const support::Folder folder;
  const auto with_crc = [&](uint32_t crc) {
    std::string bytes = support::zip_of({{"a", "123456789"}});
    bytes.replace(bytes.find("PK\x01\x02") + 16, 4, support::le(crc, 4));
    FileReader file(support::write_bytes(folder / "z", bytes));
    return ZipArchive(file).bytes("a");
  };
  CHECK(with_crc(0xCBF43926) == "123456789");
  CHECK_THROWS_WITH(with_crc(0xCBF43927), ContainsSubstring("the checksum of \"a\" is wrong"));
}

TEST_CASE("compressed, doubled and endless records are refused", "[zip_archive]") {
  const support::Folder folder;
  const auto read = [&](const std::string& bytes) {
    FileReader file(support::write_bytes(folder / "z", bytes));
    return ZipArchive(file).bytes("a");
  };
  const std::string sound = support::zip_of({{"a", "123"}});
  const size_t entry = sound.find("PK\x01\x02");
  CHECK_THROWS_WITH(read(std::string(sound).replace(entry + 10, 1, "\x08")), ContainsSubstring("compressed"));
  CHECK_THROWS_WITH(read(support::zip_of({{"a", "1"}, {"a", "2"}})), ContainsSubstring("two records \"a\""));
  std::string large = sound;
  large.replace(entry + 20, 8, support::le(0x7FFFFFFF, 4) + support::le(0x7FFFFFFF, 4));
  CHECK_THROWS_WITH(read(large), ContainsSubstring("is truncated or damaged"));
  CHECK_THROWS_WITH(read(sound.substr(0, sound.size() - 22)), ContainsSubstring("its zip directory is missing"));
}

TEST_CASE("sizes and places of zip64 are read", "[zip_archive]") {
  const support::Folder folder;
  const std::string name = "a", content = "wide";
  const std::string local = "PK\x03\x04" + support::le(0, 22) + support::le(1, 2) + support::le(0, 2) + name + content;
  const std::string extra = support::le(0xCAFE, 2) + support::le(1, 2) + "?" + support::le(1, 2) + support::le(24, 2) +
                            support::le(4, 8) + support::le(4, 8) + support::le(0, 8);
  const std::string ones = support::le(0xFFFFFFFF, 4);
  const std::string directory = "PK\x01\x02" + support::le(0, 16) + ones + ones + support::le(1, 2) +
                                support::le(extra.size(), 2) + support::le(0, 10) + ones + name + extra;
  const std::string wide = "PK\x06\x06" + support::le(44, 8) + support::le(0, 12) + support::le(1, 8) +
                           support::le(1, 8) + support::le(directory.size(), 8) + support::le(local.size(), 8);
  const std::string locator =
      "PK\x06\x07" + support::le(0, 4) + support::le(local.size() + directory.size(), 8) + support::le(1, 4);
  const std::string end = "PK\x05\x06" + support::le(0xFFFFFFFF, 8) + ones + ones + support::le(0, 2);
  FileReader file(support::write_bytes(folder / "z", local + directory + wide + locator + end));
  CHECK(ZipArchive(file).bytes("a") == content);
}
