# Here, and installed for those who build a skillset elsewhere.

set(TROUPE_SKILLSET_SYMBOLS "${CMAKE_CURRENT_LIST_DIR}/troupe-skillset.map")

# troupe_add_skillset(NAME SOURCES a.cpp … LINK …): the shared object NAME.so of a skillset, one of whose sources declares
# it with TROUPE_SKILLSET. Its entry is all that it shows: two plug-ins with the same library inside don't meet. What it
# doesn't find fails when it is linked, and not when it is opened.
function(troupe_add_skillset name)
  cmake_parse_arguments(PARSE_ARGV 1 ARG "" "" "SOURCES;LINK")
  if(NOT ARG_SOURCES OR ARG_UNPARSED_ARGUMENTS)
    list(JOIN ARGV " " words)
    message(FATAL_ERROR "troupe_add_skillset(NAME SOURCES a.cpp … LINK …) was called as troupe_add_skillset(${words})")
  endif()
  add_library(${name} MODULE ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_LINK} troupe::sdk)
  set_target_properties(${name} PROPERTIES
    PREFIX "" SUFFIX ".so" CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON
    LINK_DEPENDS "${TROUPE_SKILLSET_SYMBOLS}")
  target_link_options(${name} PRIVATE
    "LINKER:--version-script=${TROUPE_SKILLSET_SYMBOLS}" "LINKER:--gc-sections" "LINKER:-z,defs")
endfunction()
