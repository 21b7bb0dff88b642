#pragma once

#include <cstddef>
#include <string>

#include "answers.hpp"
#include "outputs.hpp"
#include "report.hpp"
#include "support/files.hpp"

namespace support {

/// Writes a result's maps, and then its picture, which so tells that all of it is there. Notes the files in the
/// records.
inline void write(Result& result, size_t file, Outputs& outputs) {
  if (result.picture.empty()) return;
  const fs::path picture = outputs.picture(file, result.index);
  for (Record& record : result.records) record.picture = picture.string();
  for (const MapFile& map : result.maps) {
    const fs::path path = outputs.map(file, result.index, map.name_parts);
    write_whole(path, map.bytes);
    result.records[map.record].map = path.string();
  }
  write_whole(picture, result.picture);
}

}  // namespace support
