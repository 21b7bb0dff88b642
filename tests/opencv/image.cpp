#include "sightglass/opencv/image.hpp"

#include <opencv2/imgcodecs.hpp>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "support/harness/catch.hpp"
#include "support/harness/warnings.hpp"

namespace {

/// A folder of its own for one test, gone afterwards.
struct Folder {
  std::filesystem::path path;
  Folder() {
    const std::string name = Catch::getResultCapture().getCurrentTestName();
    path = std::filesystem::temp_directory_path() / ("sightglass_" + std::to_string(std::hash<std::string>()(name)));
    std::filesystem::remove_all(path);
    std::filesystem::create_directories(path);
  }
  ~Folder() { std::filesystem::remove_all(path); }

  std::string write(const std::string& name, const std::vector<uchar>& bytes) const {
    std::ofstream stream(path / name, std::ios::binary);
    stream.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    return (path / name).string();
  }
  std::string write(const std::string& name, const cv::Mat& picture) const {
    return write(name, encoded(std::filesystem::path(name).extension().string(), picture));
  }
  static std::vector<uchar> encoded(const std::string& extension, const cv::Mat& picture) {
    std::vector<uchar> bytes;
    cv::imencode(extension, picture, bytes);
    return bytes;
  }
};

/// Blue, 60 wide and 40 high, with a red square in the upper left corner.
cv::Mat landscape() {
  cv::Mat picture(40, 60, CV_8UC3, cv::Scalar(255, 0, 0));
  picture(cv::Rect(0, 0, 16, 16)) = cv::Scalar(0, 0, 255);
  return picture;
}

/// A JPEG file with `segment` as its first APP1 segment, where cameras write EXIF.
std::vector<uchar> with_segment(std::vector<uchar> jpeg, const std::vector<uchar>& segment) {
  std::vector<uchar> head = {0xFF, 0xE1, 0, static_cast<uchar>(segment.size() + 2)};
  head.insert(head.end(), segment.begin(), segment.end());
  jpeg.insert(jpeg.begin() + 2, head.begin(), head.end());
  return jpeg;
}

/// The smallest EXIF block: one big-endian directory with one entry, tag 0x0112.
std::vector<uchar> exif(uchar orientation) {
  return {'E', 'x',  'i', 'f', 0, 0, 'M', 'M', 0, 42,          0, 0, 0, 8, 0, 1,
          1,   0x12, 0,   3,   0, 0, 0,   1,   0, orientation, 0, 0, 0, 0, 0, 0};
}

bool is_red(const cv::Vec3b& pixel) { return pixel[2] > 200 && pixel[0] < 60; }

}  // namespace

TEST_CASE("a colour file is read as 8-bit BGR") {
  const Folder folder;
  const cv::Mat picture = sightglass::read_image(folder.write("photo.png", landscape()));
  CHECK(picture.type() == CV_8UC3);
  CHECK(cv::norm(picture, landscape(), cv::NORM_INF) == 0);
}

TEST_CASE("the EXIF orientation of a photo is honoured") {
  const Folder folder;
  const std::vector<uchar> jpeg = Folder::encoded(".jpg", landscape());
  // 6: the camera was turned, the stored picture must be turned clockwise.
  const cv::Mat turned = sightglass::read_image(folder.write("6.jpg", with_segment(jpeg, exif(6))));
  CHECK(turned.size() == cv::Size(40, 60));
  CHECK(is_red(turned.at<cv::Vec3b>(2, 37)));
  CHECK_FALSE(is_red(turned.at<cv::Vec3b>(2, 2)));
  // 3: upside down.
  const cv::Mat over = sightglass::read_image(folder.write("3.jpg", with_segment(jpeg, exif(3))));
  CHECK(over.size() == cv::Size(60, 40));
  CHECK(is_red(over.at<cv::Vec3b>(37, 57)));
}

TEST_CASE("a grey file gets three equal channels") {
  const Folder folder;
  const cv::Mat grey = (cv::Mat_<uchar>(1, 2) << 7, 200);
  const cv::Mat picture = sightglass::read_image(folder.write("grey.png", grey));
  CHECK(picture.type() == CV_8UC3);
  CHECK(picture.at<cv::Vec3b>(0, 0) == cv::Vec3b(7, 7, 7));
  CHECK(picture.at<cv::Vec3b>(0, 1) == cv::Vec3b(200, 200, 200));
}

TEST_CASE("a file of 16 bits is scaled to 8") {
  const Folder folder;
  const cv::Mat deep = (cv::Mat_<uint16_t>(1, 4) << 0, 257, 60000, 65535);
  for (const char* name : {"deep.png", "deep.tiff"}) {
    const cv::Mat picture = sightglass::read_image(folder.write(name, deep));
    CHECK(picture.type() == CV_8UC3);
    for (int x = 0; x < 4; ++x)
      CHECK(picture.at<cv::Vec3b>(0, x)[1] == (std::vector<int>{0, 1, 233, 255})[static_cast<size_t>(x)]);
  }
}

TEST_CASE("a transparent file lies on white") {
  const Folder folder;
  const cv::Mat picture =
      (cv::Mat_<cv::Vec4b>(1, 3) << cv::Vec4b(10, 20, 30, 255), cv::Vec4b(10, 20, 30, 0), cv::Vec4b(0, 100, 255, 51));
  const cv::Mat read = sightglass::read_image(folder.write("alpha.png", picture));
  CHECK(read.type() == CV_8UC3);
  CHECK(read.at<cv::Vec3b>(0, 0) == cv::Vec3b(10, 20, 30));
  CHECK(read.at<cv::Vec3b>(0, 1) == cv::Vec3b(255, 255, 255));
  CHECK(read.at<cv::Vec3b>(0, 2) == cv::Vec3b(204, 224, 255));  // 0.2 of it and 0.8 of white
}

TEST_CASE("what is not an image file is named in the error") {
  const Folder folder;
  const auto read = [](const std::string& path) { return sightglass::read_image(path); };
  CHECK_THROWS_WITH(read((folder.path / "none.jpg").string()), ContainsSubstring("none.jpg\": no such file"));
  CHECK_THROWS_WITH(read(folder.path.string()), ContainsSubstring("is a folder"));
  CHECK_THROWS_WITH(read(folder.write("empty.jpg", std::vector<uchar>{})), ContainsSubstring("is empty (0 bytes)"));
  CHECK_THROWS_WITH(read(folder.write("text.jpg", std::vector<uchar>{'h', 'e', 'l', 'l', 'o'})),
                    ContainsSubstring("not an image that OpenCV can decode"));
  CHECK_THROWS_AS(read((folder.path / "none.jpg").string()), c10::Error);
}

TEST_CASE("a truncated file is an error, not a picture with grey below") {
  const Folder folder;
  const auto read = [](const std::string& path) { return sightglass::read_image(path); };
  for (const char* extension : {".jpg", ".png"}) {
    const std::vector<uchar> whole = Folder::encoded(extension, landscape());
    for (const std::ptrdiff_t missing : {2, 40, static_cast<int>(whole.size()) - 10}) {
      const std::vector<uchar> cut(whole.begin(), whole.end() - missing);
      CHECK_THROWS_WITH(read(folder.write("cut" + std::string(extension), cut)), ContainsSubstring("is truncated"));
    }
  }
}

TEST_CASE("the end marker of an embedded thumbnail does not hide that a JPEG is truncated") {
  const Folder folder;
  std::vector<uchar> jpeg = with_segment(Folder::encoded(".jpg", landscape()), {'t', 0xFF, 0xD9, 'x'});
  CHECK_NOTHROW(sightglass::read_image(folder.write("whole.jpg", jpeg)));
  jpeg.resize(jpeg.size() - 2);
  CHECK_THROWS_WITH(sightglass::read_image(folder.write("cut.jpg", jpeg)), ContainsSubstring("is truncated"));
}

TEST_CASE("a JPEG with restart markers, several scans and bytes after its end is whole") {
  const Folder folder;
  std::vector<uchar> bytes;
  cv::imencode(".jpg", landscape(), bytes, {cv::IMWRITE_JPEG_PROGRESSIVE, 1, cv::IMWRITE_JPEG_RST_INTERVAL, 1});
  bytes.insert(bytes.end(), {'m', 'o', 'r', 'e'});
  CHECK(sightglass::read_image(folder.write("photo.jpg", bytes)).size() == cv::Size(60, 40));
}

TEST_CASE("every photograph of the shared data is read") {
  const std::filesystem::path images = std::filesystem::path(support::shared_dir()) / "data" / "images";
  if (!std::filesystem::exists(images)) SKIPPED("no photographs in " + images.string());
  int count = 0;
  for (const std::filesystem::directory_entry& file : std::filesystem::directory_iterator(images)) {
    CHECK(sightglass::read_image(file.path().string()).type() == CV_8UC3);
    ++count;
  }
  CHECK(count == 54);
}

TEST_CASE("a range says which values of a file are black and white", "[image]") {
  const Folder folder;
  const cv::Mat ramp = (cv::Mat_<uint16_t>(1, 4) << 0, 1365, 4095, 60000);
  const std::string path = folder.write("ramp.png", ramp);
  const cv::Mat picture = sightglass::read_image(path, sightglass::ImageOptions().range(0, 4095));
  const std::vector<int> expected{0, 85, 255, 255};  // 1365 is a third of 4095
  for (int x = 0; x < 4; ++x) CHECK(picture.at<cv::Vec3b>(0, x)[1] == expected[static_cast<size_t>(x)]);
  const cv::Mat shifted = sightglass::read_image(path, sightglass::ImageOptions().range(1365, 4095));
  CHECK(shifted.at<cv::Vec3b>(0, 0)[0] == 0);
  CHECK(shifted.at<cv::Vec3b>(0, 2)[0] == 255);
  CHECK_THROWS_WITH(sightglass::read_image(path, sightglass::ImageOptions().range(5, 4)), ContainsSubstring("range"));
}

TEST_CASE("a range leaves alpha as it is", "[image]") {
  const Folder folder;
  const cv::Mat half(2, 2, CV_16UC4, cv::Scalar(4095, 4095, 0, 32768));
  const std::string path = folder.write("half.png", half);
  const cv::Mat picture = sightglass::read_image(path, sightglass::ImageOptions().range(0, 4095));
  CHECK(picture.at<cv::Vec3b>(0, 0)[0] == 255);
  CHECK(std::abs(picture.at<cv::Vec3b>(0, 0)[2] - 127) <= 1);  // half of black over white
}

TEST_CASE("16-bit files of few values are warned of, with their range and the remedy", "[image]") {
  const Folder folder;
  support::Warnings warnings;
  cv::Mat dark(8, 8, CV_16UC1, cv::Scalar(10));
  dark.at<uint16_t>(3, 3) = 4000;
  sightglass::read_image(folder.write("dark.png", dark), sightglass::ImageOptions().range(0, 4095));
  dark.at<uint16_t>(4, 4) = 60000;
  sightglass::read_image(folder.write("whole.png", dark));
  CHECK(warnings.text().empty());
  dark.at<uint16_t>(4, 4) = 0;
  sightglass::read_image(folder.write("small.png", dark));
  CHECK_THAT(warnings.text(), ContainsSubstring("its values are 0 to 4000 of 0 to 65535, so that 17 grey levels") &&
                                  ContainsSubstring("ImageOptions().range(0, 4095)"));
}
