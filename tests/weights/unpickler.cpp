#include "sightglass/weights/detail/unpickler.hpp"

#include "support/harness/catch.hpp"
#include "support/data/torch_files.hpp"

using namespace sightglass::detail;
using namespace support;

namespace {

/// Keeps all that a pickle needs while it is looked at.
struct Read {
  Folder folder;
  FileReader file;
  Cursor cursor;
  Unpickler unpickler;

  explicit Read(const std::string& bytes)
      : file(write_bytes(folder / "pickle", bytes)), cursor(file, 0, file.size()), unpickler(cursor) {}
};

int64_t integer(const std::string& bytes) { return *Read(bytes + ".").unpickler.load().as<int64_t>(); }

}  // namespace

TEST_CASE("whole numbers of every width are read, negative ones too", "[unpickler]") {
  CHECK(integer("K\xFF") == 255);
  CHECK(integer("M\x01\x02") == 513);
  CHECK(integer("J\xFE\xFF\xFF\xFF") == -2);
  CHECK(integer(std::string("\x8a\x00", 2)) == 0);
  CHECK(integer("\x8a\x01\xFF") == -1);
  CHECK(integer(std::string("\x8a\x02\xFF\x00", 4)) == 255);
  CHECK(integer(py_int(-7)) == -7);
}

TEST_CASE("floats are read big-endian, as Python writes them", "[unpickler]") {
  Read read(std::string("G\x3F\xF8\x00\x00\x00\x00\x00\x00.", 10));
  CHECK(*read.unpickler.load().as<double>() == 1.5);
}

TEST_CASE("dicts and lists are read with what they share", "[unpickler]") {
  Read read(py_pickle("}(" + py_str("a") +
                      "]q\x05(K\x01K\x02"
                      "e" +
                      py_str("b") + "h\x05u"));
  const auto* const dict = read.unpickler.load().as<PickledDict>();
  REQUIRE(dict != nullptr);
  REQUIRE(dict->items.size() == 2);
  CHECK(dict->items[0].second == dict->items[1].second);
  CHECK(dict->items[0].second->as<PickledSequence>()->items.size() == 2);
}

TEST_CASE("an OrderedDict's metadata is read past", "[unpickler]") {
  Read read(py_pickle(py_ordered_dict(py_str("a") + "K\x01")));
  const auto* const dict = read.unpickler.load().as<PickledDict>();
  REQUIRE(dict != nullptr);
  CHECK(dict->items.size() == 1);
}

TEST_CASE("Python 2's OrderedDict of pairs is read", "[unpickler]") {
  Read read(py_pickle("ccollections\nOrderedDict\n](](" + py_str("a") +
                      "K\x01"
                      "ee\x85R"));
  const auto* const dict = read.unpickler.load().as<PickledDict>();
  REQUIRE(dict != nullptr);
  CHECK(*dict->items.at(0).first->as<std::string>() == "a");
}

TEST_CASE("whatever else a pickle would call is named and not called", "[unpickler]") {
  const Folder folder;
  Read read(py_pickle("cposix\nsystem\n(" + py_str("touch " + (folder / "made")) + "tR"));
  CHECK(read.unpickler.load().describe() == "a Python object of posix.system");
  CHECK(read_bytes(folder / "made").empty());
}

TEST_CASE("objects in a checkpoint are read past, with their members", "[unpickler]") {
  const std::string object = "cargparse\nNamespace\n)\x81}(" + py_str("lr") + "K\x01ub";
  const std::string scalar = "cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n" + py_str("f8") + "\x85RtR";
  Read read(py_pickle("}(" + py_str("a") + object + py_str("b") + scalar + "u"));
  const auto* const dict = read.unpickler.load().as<PickledDict>();
  REQUIRE(dict != nullptr);
  CHECK(dict->items[0].second->describe() == "a Python object of argparse.Namespace");
  CHECK(dict->items[1].second->describe() == "a Python object of numpy.core.multiarray.scalar");
}

TEST_CASE("protocol 4 is read: short strings, frames, globals from the stack", "[unpickler]") {
  const std::string name =
      "\x8c\x0b"
      "collections\x94\x8c\x0bOrderedDict\x94\x93\x94";
  Read read("\x80\x04\x95" + le(40, 8) + name +
            ")R\x94(\x8c\x01"
            "aK\x01u.");
  const auto* const dict = read.unpickler.load().as<PickledDict>();
  REQUIRE(dict != nullptr);
  CHECK(*dict->items.at(0).second->as<int64_t>() == 1);
}

TEST_CASE("deeply nested and endless values end in an error or nothing, not on the stack", "[unpickler]") {
  std::string deep;
  for (int i = 0; i < 1'000'000; ++i) deep += ')';
  for (int i = 1; i < 1'000'000; ++i) deep += '\x86';
  Read read(deep + ".");
  CHECK(read.unpickler.load().as<PickledSequence>() != nullptr);
  Read itself(
      py_pickle("]q\x01h\x01"
                "a"));
  CHECK(itself.unpickler.load().as<PickledSequence>()->items.size() == 1);
  Read many(std::string(4'100'000, 'N'));
  CHECK_THROWS_WITH(many.unpickler.load(), ContainsSubstring("more than 4000000 values"));
  std::string copies = "ccollections\nOrderedDict\nq\x01(](" + std::string("q\x02");
  copies = "ccollections\nOrderedDict\nq\x01NN\x86q\x02](";
  for (int i = 0; i < 10000; ++i) copies += "h\x02";
  copies += "e\x85q\x03";
  for (int i = 0; i < 10000; ++i) copies += "h\x01h\x03R";
  Read copied(copies + ".");
  CHECK_THROWS_WITH(copied.unpickler.load(), ContainsSubstring("copies without end"));
}

TEST_CASE("pickles that make no sense are errors", "[unpickler]") {
  for (const std::string bytes : {"", ".", "K", "X\xFF\xFF\xFF\x7F", "t.", "a.", "Ns.", "NNs.", "h\x01.", "(0.", "(.",
                                  "R.", "NR.", "b.", "\x93.", "NN\x93.", "\x80\x05N.", "?.", "\x8b\xFF\xFF\xFF\xFF."}) {
    CAPTURE(bytes);
    Read read(bytes);
    CHECK_THROWS_AS(read.unpickler.load(), c10::Error);
  }
}

TEST_CASE("a class that has its source beside it, as PyTorch wrote before 1.6, is that class", "[unpickler]") {
  const std::string type =
      "(" + py_str("module") + "cmodels\nYolo\n" + py_str("yolo.py") + py_str("class Yolo") + "K\x01tQ";
  Read read(py_pickle(type + ")\x81"));
  CHECK(read.unpickler.load().describe() == "a Python object of models.Yolo");
}
