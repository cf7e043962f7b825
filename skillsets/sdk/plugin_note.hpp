#pragma once

#include "skillsets/sdk/sdk_version.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace troupe {

/// Raised by hand when what node and plug-in say to each other gets another meaning.
inline constexpr std::uint32_t plugin_abi_version = 1;

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

/// A shared object that was built by another compiler or with another version of these headers crashes its process, or
/// worse, doesn't at once. So it says what it was built with, in an ELF note in its section `.note.troupe`: a header as
/// `Elf64_Nhdr`, which is `Elf32_Nhdr` too, the owner's name, and the ABI version, which is first whatever follows.
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
