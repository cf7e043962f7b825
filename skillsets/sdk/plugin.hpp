#pragma once

#include "actors/concurrency/error.hpp"
#include "skillsets/sdk/plugin_note.hpp"
#include "skillsets/sdk/skillset.hpp"

#include <cstdint>
#include <filesystem>
#include <string>

/// Makes a shared object a plug-in: `TROUPE_SKILLSET(my_skillset)` in one of its source files is the one symbol that it
/// exports, and a note of what it was built with, which is read before anything of it is loaded. The class is made
/// once, without arguments, when the plug-in is opened.
#define TROUPE_SKILLSET(type)    \
  TROUPE_SKILLSET_ENTRY() {      \
    static type troupe_the_only; \
    return &troupe_the_only;     \
  }

/// The same for a skillset that is made in another way: the body of a function that returns a `troupe::skillset*`,
/// which is good for as long as the process lives, follows. Null, or an exception: there is none.
#define TROUPE_SKILLSET_ENTRY()                                                                                 \
  [[gnu::section(".note.troupe"), gnu::used, gnu::aligned(4)]] constinit static const auto troupe_plugin_note = \
      troupe::detail::note_of_this_build;                                                                       \
  extern "C" [[gnu::visibility("default")]] troupe::skillset* troupe_skillset()

namespace troupe {

/// The symbol that a plug-in exports.
inline constexpr const char* plugin_entry_name = "troupe_skillset";

/// What a plug-in says of itself.
struct plugin_info {
  std::uint32_t abi_version = 0;
  std::string build;     ///< all that has to be the same on both sides, such as the hash of the SDK; in words
  std::string compiler;  ///< for people
  std::string version;   ///< of the SDK; for people

  friend bool operator==(const plugin_info&, const plugin_info&) = default;
};

/// What a plug-in has to say that this program can open.
plugin_info this_build();

/// What the plug-in in `file` says of itself; reads the file and runs nothing of it. Errors, which name the file:
/// NOT_FOUND, PERMISSION_DENIED; INVALID_ARGUMENT where it is no shared object of this machine's kind, is damaged, or
/// has no note. Of another `abi_version` there may be nothing but that.
expected<plugin_info> read_plugin(const std::filesystem::path& file);

/// Whether this program may run it: what `read_plugin` says, and FAILED_PRECONDITION where it was built for another
/// one.
expected<void> check_plugin(const std::filesystem::path& file);

/// The skillset of the plug-in in `file`, which stays open for as long as the process lives. Blocking: runs the
/// plug-in's code after `check_plugin`. Further errors: FAILED_PRECONDITION with the loader's words where it can't be
/// loaded, as without a library that it needs, and INTERNAL where it gives no skillset or throws. Thread-safe.
expected<skillset*> open_plugin(const std::filesystem::path& file);

}  // namespace troupe
