# cmake -DBATCH=FILE "-DSOURCES=A|B|..." -P batch_tests.cmake
# Writes one translation unit of several, so that what they take of LibTorch's headers and ours is
# compiled once for all. What stands behind a source's includes goes into a namespace of its own:
# helpers of two files may have one name. Errors and debuggers name the source's own lines.
cmake_minimum_required(VERSION 3.22)

string(REPLACE "|" ";" SOURCES "${SOURCES}")
set(batch "")
foreach(source IN LISTS SOURCES)
  file(READ "${source}" text)
  string(FIND "\n${text}" "\n#include " last REVERSE)
  string(SUBSTRING "${text}" ${last} -1 rest)
  string(REGEX MATCH "^[^\n]*\n(#endif[^\n]*\n)*" last_include "${rest}")
  string(LENGTH "${last_include}" length)
  math(EXPR end "${last} + ${length}")
  string(SUBSTRING "${text}" 0 ${end} includes)
  string(SUBSTRING "${text}" ${end} -1 body)

  string(REGEX MATCHALL "\n" lines "${includes}\n")
  list(LENGTH lines line)
  get_filename_component(name "${source}" NAME_WE)
  string(APPEND batch "#line 1 \"${source}\"\n${includes}namespace ${name}_tests {\n"
                      "#line ${line} \"${source}\"\n${body}\n}\n")
endforeach()
file(WRITE "${BATCH}" "${batch}")
