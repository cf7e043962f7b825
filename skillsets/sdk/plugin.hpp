#pragma once

#include "actors/concurrency/error.hpp"
#include "skillsets/sdk/sdk_version.hpp"
#include "skillsets/sdk/skillset.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

/// A shared object that was built with another compiler or another version of these headers crashes its process, or
/// worse, doesn't at once. So it says what it was built with in an ELF note (section `.note.troupe`, owner `Troupe`,
/// type 1), which is read from the file before any of it is loaded.
///
/// `TROUPE_SKILLSET(my_skillset)` in one source file makes that note, and the one symbol that a plug-in exports. The
/// class is made once, without arguments, when the plug-in is opened.
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

/// Raised by hand when what node and plug-in say to each other gets another meaning.
inline constexpr std::uint32_t plugin_abi_version = 1;

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

/// The skillset of the plug-in in `file`, which stays open for as long as the process lives. Blocking: runs the
/// plug-in's code once it was built for this program, and else is FAILED_PRECONDITION and runs nothing. Further errors:
/// those of `read_plugin`, FAILED_PRECONDITION with the loader's words where it can't be loaded, as without a library
/// that it needs, and INTERNAL where it gives no skillset or throws. Thread-safe.
expected<skillset*> open_plugin(const std::filesystem::path& file);

namespace detail {

#define TROUPE_TEXT_OF(value) #value
#define TROUPE_TEXT(value) TROUPE_TEXT_OF(value)

#if defined(__clang__)
#define TROUPE_COMPILER "clang " __clang_version__
#else
#define TROUPE_COMPILER "g++ " __VERSION__
#endif

// The release, because only what is older than C++20 is stable in a standard library.
#if defined(_LIBCPP_VERSION)
#define TROUPE_STANDARD_LIBRARY "libc++ " TROUPE_TEXT(_LIBCPP_VERSION) " abi " TROUPE_TEXT(_LIBCPP_ABI_VERSION)
#elif defined(_GLIBCXX_DEBUG)
#define TROUPE_STANDARD_LIBRARY \
  "libstdc++ " TROUPE_TEXT(_GLIBCXX_RELEASE) " cxx11 " TROUPE_TEXT(_GLIBCXX_USE_CXX11_ABI) " debug"
#else
#define TROUPE_STANDARD_LIBRARY "libstdc++ " TROUPE_TEXT(_GLIBCXX_RELEASE) " cxx11 " TROUPE_TEXT(_GLIBCXX_USE_CXX11_ABI)
#endif

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TROUPE_SANITIZER "address"
#elif __has_feature(thread_sanitizer)
#define TROUPE_SANITIZER "thread"
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define TROUPE_SANITIZER "address"
#elif defined(__SANITIZE_THREAD__)
#define TROUPE_SANITIZER "thread"
#elif !defined(TROUPE_SANITIZER)
#define TROUPE_SANITIZER "none"
#endif

inline constexpr std::string_view build_fingerprint =
    "sdk " TROUPE_SDK_HASH ", C++ ABI " TROUPE_TEXT(__GXX_ABI_VERSION) ", " TROUPE_STANDARD_LIBRARY
                                                                       ", sanitizer " TROUPE_SANITIZER;
inline constexpr std::string_view compiler_name = TROUPE_COMPILER;

#undef TROUPE_TEXT
#undef TROUPE_TEXT_OF
#undef TROUPE_COMPILER
#undef TROUPE_STANDARD_LIBRARY
#undef TROUPE_SANITIZER

/// An ELF note: a header as `Elf64_Nhdr`, which is `Elf32_Nhdr` too, the owner's name, and what it says. Texts end with
/// a zero, and begin after the ABI version, which is first in every version of this.
struct plugin_note {
  std::uint32_t name_size = 7;
  std::uint32_t content_size = content;
  std::uint32_t type = 1;
  char name[8] = "Troupe";
  std::uint32_t abi_version = plugin_abi_version;
  char build[128] = {};
  char compiler[64] = {};
  char version[16] = {};

  static constexpr std::uint32_t content = 4 + 128 + 64 + 16;
};
static_assert(sizeof(plugin_note) == 20 + plugin_note::content);

template <std::size_t N>
constexpr void copy_text(char (&to)[N], std::string_view text) {
  for (std::size_t i = 0; i != N - 1 && i != text.size(); ++i)
    to[i] = text[i];
}

constexpr plugin_note make_note() {
  plugin_note note;
  static_assert(build_fingerprint.size() < sizeof(note.build));
  copy_text(note.build, build_fingerprint);
  copy_text(note.compiler, compiler_name);
  copy_text(note.version, TROUPE_SDK_VERSION);
  return note;
}

inline constexpr plugin_note note_of_this_build = make_note();

}  // namespace detail

}  // namespace troupe
