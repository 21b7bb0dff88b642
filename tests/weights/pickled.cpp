#include "sightglass/weights/detail/pickled.hpp"

#include "support/harness/catch.hpp"

using namespace sightglass::detail;

TEST_CASE("values are told as a Python user would", "[pickled]") {
  const Pickled net{PickledGlobal{"__main__.Net"}};
  CHECK(Pickled{int64_t{3}}.describe() == "an int");
  CHECK(Pickled{PickledDict()}.describe() == "a dict");
  CHECK(net.describe() == "the Python object __main__.Net");
  CHECK(Pickled{PickledObject{&net}}.describe() == "a Python object of __main__.Net");
  CHECK(Pickled{PickledObject()}.describe() == "a Python object");
}

TEST_CASE("a tensor is made of its storage, offset, shape and strides", "[pickled]") {
  const Pickled storage{PickledStorage{c10::kFloat, "0", 6}}, offset{int64_t{1}}, two{int64_t{2}},
      text{std::string("2")};
  const Pickled shape{PickledSequence{{&two}}}, wrong{PickledSequence{{&text}}};
  const PickledTensor tensor = tensor_of({&storage, &offset, &shape, &shape});
  CHECK(tensor.offset == 1);
  CHECK(tensor.sizes == std::vector<int64_t>{2});
  CHECK(tensor.storage->key == "0");
  CHECK_THROWS_WITH(tensor_of({&storage, &offset, &shape}), ContainsSubstring("a tensor of 3 arguments"));
  CHECK_THROWS_WITH(tensor_of({&offset, &offset, &shape, &shape}), ContainsSubstring("without storage"));
  CHECK_THROWS_WITH(tensor_of({&storage, &offset, &wrong, &shape}), ContainsSubstring("a str in its shape"));
  CHECK_THROWS_WITH(tensor_of({&storage, &offset, &two, &shape}), ContainsSubstring("whose shape is an int"));
}
