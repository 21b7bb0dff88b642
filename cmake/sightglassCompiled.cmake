# sightglass_add_compiled(INCLUDE_DIR): the target sightglass::compiled, for programs of several files: the same
# library, with what is no template compiled once. Built only where something links it, in the project that does,
# since it must match that project's LibTorch, compiler and flags; all of a program's files should link it, or none.
set(_sightglass_compiled_source "${CMAKE_CURRENT_LIST_DIR}/compiled.cpp.in")

function(sightglass_add_compiled include_dir)
  if(TARGET sightglass::compiled)
    return()
  endif()
  # A source costs what LibTorch's headers cost; they build beside each other.
  set(all_rooms "trace hooks" "model cam metrics" "train weights")
  if(TARGET nlohmann_json::nlohmann_json)
    list(APPEND all_rooms "exported")
  endif()
  set(sources "")
  foreach(rooms IN LISTS all_rooms)
    string(REPLACE " " ";" rooms "${rooms}")
    set(globs ${rooms})
    list(TRANSFORM globs REPLACE "(.+)" "${include_dir}/sightglass/\\1/*_inl.hpp")
    file(GLOB_RECURSE headers CONFIGURE_DEPENDS RELATIVE "${include_dir}" ${globs})
    if(NOT headers)
      message(FATAL_ERROR "sightglass: no definitions (*_inl.hpp) of ${rooms} in ${include_dir}/sightglass")
    endif()
    list(TRANSFORM headers REPLACE "(.+)" "#include <\\1>")
    list(JOIN headers "\n" definitions)
    list(JOIN rooms "_" source)
    list(JOIN rooms "/, " room)
    string(APPEND room "/")
    set(source "${CMAKE_CURRENT_BINARY_DIR}/sightglass_compiled/${source}.cpp")
    configure_file("${_sightglass_compiled_source}" "${source}" @ONLY)
    list(APPEND sources "${source}")
  endforeach()

  add_library(sightglass_compiled STATIC EXCLUDE_FROM_ALL ${sources})
  add_library(sightglass::compiled ALIAS sightglass_compiled)
  target_link_libraries(sightglass_compiled PUBLIC sightglass::sightglass)
  if(TARGET nlohmann_json::nlohmann_json)
    target_link_libraries(sightglass_compiled PRIVATE nlohmann_json::nlohmann_json)
  endif()
  target_compile_definitions(sightglass_compiled PUBLIC SIGHTGLASS_COMPILED)
  # Shared libraries take it in too. What each of them has is its own, as where the library is headers alone; what a
  # process must have once is exported by name.
  set_target_properties(
    sightglass_compiled PROPERTIES POSITION_INDEPENDENT_CODE ON CXX_VISIBILITY_PRESET hidden
                                   VISIBILITY_INLINES_HIDDEN ON)
endfunction()
