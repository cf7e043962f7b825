#include "skillsets/sdk/plugin.hpp"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <exception>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

namespace troupe {
namespace {

using detail::plugin_note;

// Far more than any linker makes; what claims more is no plug-in, and costs nothing.
constexpr std::size_t most_headers = 512;
constexpr std::size_t most_note_bytes = 1 << 20;

#if defined(__x86_64__)
constexpr ElfW(Half) machine = EM_X86_64;
#elif defined(__aarch64__)
constexpr ElfW(Half) machine = EM_AARCH64;
#elif defined(__riscv)
constexpr ElfW(Half) machine = EM_RISCV;
#elif defined(__powerpc64__)
constexpr ElfW(Half) machine = EM_PPC64;
#else
#error "which machine is this?"
#endif
constexpr unsigned char machine_class = sizeof(void*) == 8 ? ELFCLASS64 : ELFCLASS32;
static_assert(std::endian::native == std::endian::little);

class open_file {
 public:
  // A FIFO must not keep the opener waiting.
  explicit open_file(const std::filesystem::path& file)
      : descriptor_(open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)) {}
  ~open_file() {
    if (descriptor_ >= 0)
      close(descriptor_);
  }
  open_file(const open_file&) = delete;
  open_file& operator=(const open_file&) = delete;

  explicit operator bool() const noexcept { return descriptor_ >= 0; }

  /// In bytes; nothing where it is no regular file.
  std::optional<std::uint64_t> size() const noexcept {
    struct stat what {};
    if (fstat(descriptor_, &what) != 0 || !S_ISREG(what.st_mode))
      return std::nullopt;
    return static_cast<std::uint64_t>(what.st_size);
  }

  /// True when all `size` bytes at `offset` are there.
  bool read(void* to, std::size_t size, std::uint64_t offset) const noexcept {
    auto* at = static_cast<char*>(to);
    while (size > 0) {
      const auto got = std::in_range<off_t>(offset) ? pread(descriptor_, at, size, static_cast<off_t>(offset)) : 0;
      if (got < 0 && errno == EINTR)
        continue;
      if (got <= 0)
        return false;
      at += got;
      size -= static_cast<std::size_t>(got);
      offset += static_cast<std::uint64_t>(got);
    }
    return true;
  }

 private:
  const int descriptor_;
};

std::string named(const std::filesystem::path& file) {
  return "plug-in '" + file.string() + "'";
}

error cannot_read(const std::filesystem::path& file, int number) {
  if (number == ENOENT || number == ENOTDIR)
    return make_error(status_code::not_found, "there is no " + named(file), "install it, or name another");
  const auto code = number == EACCES || number == EPERM ? status_code::permission_denied : status_code::internal;
  return make_error(code, "cannot read " + named(file) + ": " + std::generic_category().message(number),
                    "see that the node's user may read it");
}

error no_plugin(const std::filesystem::path& file, const std::string& what) {
  return make_error(status_code::invalid_argument, named(file) + " " + what,
                    "a plug-in is a shared object for this machine that declares a TROUPE_SKILLSET");
}

expected<ElfW(Ehdr)> read_header(const std::filesystem::path& file, const open_file& from) {
  ElfW(Ehdr) header{};
  if (!from.size())
    return no_plugin(file, "is no regular file");
  if (!from.read(header.e_ident, EI_NIDENT, 0) || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
    return no_plugin(file, "is no ELF file");
  if (header.e_ident[EI_CLASS] != machine_class || header.e_ident[EI_DATA] != ELFDATA2LSB)
    return no_plugin(file, "is for another kind of machine: its word size or byte order is not this one's");
  if (!from.read(&header, sizeof header, 0))
    return no_plugin(file, "is damaged: it ends within its header");
  if (header.e_machine != machine)
    return no_plugin(file, "is for another kind of machine: its ELF number is " + std::to_string(header.e_machine) +
                               ", and this one's is " + std::to_string(machine));
  if (header.e_type != ET_DYN)
    return no_plugin(file, "is an ELF file, but no shared object");
  if (header.e_phentsize != sizeof(ElfW(Phdr)) || header.e_phnum > most_headers)
    return no_plugin(file, "is damaged: its header makes no sense");
  return header;
}

/// All of them lie within the file: the system kills whoever runs a file that lacks its end.
expected<std::vector<ElfW(Phdr)>> read_segments(const std::filesystem::path& file, const open_file& from) {
  const auto header = read_header(file, from);
  if (!header)
    return header.error();
  std::vector<ElfW(Phdr)> segments(header->e_phnum);
  if (!from.read(segments.data(), segments.size() * sizeof segments[0], header->e_phoff))
    return no_plugin(file, "is damaged: it ends within its program headers");
  const auto size = *from.size();
  for (const auto& segment : segments)
    if (segment.p_filesz > size || segment.p_offset > size - segment.p_filesz)
      return no_plugin(file, "is damaged: it ends before what its program headers speak of");
  return segments;
}

/// A text of a note, which may lack its zero, and which is on its way to people's eyes.
template <std::size_t N>
std::string text_of(const char (&bytes)[N]) {
  std::string text{bytes, strnlen(bytes, N)};
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return text;
}

/// What our note says; `content` is what is there of it.
std::optional<plugin_info> decode(std::string_view content) {
  plugin_note note;
  if (content.size() < sizeof note.abi_version)
    return std::nullopt;
  std::memcpy(&note.abi_version, content.data(), sizeof note.abi_version);
  if (note.abi_version != plugin_abi_version)
    return plugin_info{note.abi_version, {}, {}, {}};
  if (content.size() != plugin_note::content)
    return std::nullopt;
  std::memcpy(&note.abi_version, content.data(), content.size());
  return plugin_info{note.abi_version, text_of(note.build), text_of(note.compiler), text_of(note.version)};
}

/// A segment of notes, from which they are taken one after the other.
class notes {
 public:
  explicit notes(std::string_view bytes) : bytes_(bytes) {}

  /// The content of ours, nothing where it isn't among them; `damaged` where one reaches past the end.
  std::optional<std::string_view> find_ours() {
    while (!damaged && at_ < bytes_.size()) {
      ElfW(Nhdr) header{};
      const auto head = take(sizeof header);
      if (damaged)
        return std::nullopt;
      std::memcpy(&header, head.data(), sizeof header);
      const auto name = take(header.n_namesz);
      align();
      const auto content = take(header.n_descsz);
      align();
      if (!damaged && name == std::string_view{"Troupe", 7} && header.n_type == 1)
        return content;
    }
    return std::nullopt;
  }

  bool damaged = false;

 private:
  std::string_view take(std::size_t size) {
    damaged = damaged || size > bytes_.size() - at_;
    if (damaged)
      return {};
    const auto taken = bytes_.substr(at_, size);
    at_ += size;
    return taken;
  }

  // Four bytes, whatever the segment says: only the linker's own note has eight, and that is as long as such.
  void align() { at_ = std::min(bytes_.size(), (at_ + 3) / 4 * 4); }

  const std::string_view bytes_;
  std::size_t at_ = 0;
};

/// What the plug-in says of itself in a segment; nothing where it doesn't do so there.
expected<std::optional<plugin_info>> read_notes(const std::filesystem::path& file, const open_file& from,
                                                const ElfW(Phdr) & segment) {
  const auto damaged = [&] { return no_plugin(file, "is damaged: its notes make no sense"); };
  if (segment.p_filesz > most_note_bytes)
    return damaged();
  std::string bytes(segment.p_filesz, '\0');
  if (!from.read(bytes.data(), bytes.size(), segment.p_offset))
    return damaged();
  notes all{bytes};
  const auto ours = all.find_ours();
  if (all.damaged)
    return damaged();
  if (!ours)
    return std::optional<plugin_info>{};
  auto info = decode(*ours);
  if (!info)
    return damaged();
  return info;
}

error other_build(const std::filesystem::path& file, const std::string& its, const std::string& ours) {
  return make_error(status_code::failed_precondition,
                    named(file) + " was built with " + its + ", and this with " + ours,
                    "build it again with the SDK of this Troupe, " TROUPE_SDK_VERSION ", and a compiler like its own");
}

expected<void> check(const std::filesystem::path& file, const plugin_info& its) {
  const auto ours = this_build();
  if (its.abi_version != ours.abi_version)
    return other_build(file, "ABI " + std::to_string(its.abi_version), "ABI " + std::to_string(ours.abi_version));
  const auto in_words = [](const plugin_info& info) {
    return "'" + info.build + "' (SDK " + info.version + ", " + info.compiler + ")";
  };
  if (its.build != ours.build)
    return other_build(file, in_words(its), in_words(ours));
  return {};
}

expected<skillset*> enter(const std::filesystem::path& file, skillset* (*entry)()) try {
  if (auto* const found = entry())
    return found;
  return make_error(status_code::internal, named(file) + " gives no skillset");
} catch (const std::exception& e) {
  return make_error(status_code::internal, named(file) + " gives no skillset: " + e.what());
} catch (...) {
  return make_error(status_code::internal, named(file) + " gives no skillset: it threw something that is no exception");
}

}  // namespace

plugin_info this_build() {
  const auto& note = detail::note_of_this_build;
  return {note.abi_version, note.build, note.compiler, note.version};
}

expected<plugin_info> read_plugin(const std::filesystem::path& file) {
  const open_file from{file};
  if (!from)
    return cannot_read(file, errno);
  const auto segments = read_segments(file, from);
  if (!segments)
    return segments.error();
  for (const auto& segment : *segments) {
    if (segment.p_type != PT_NOTE)
      continue;
    auto found = read_notes(file, from, segment);
    if (!found)
      return std::move(found).error();
    if (*found)
      return **std::move(found);
  }
  return no_plugin(file, "has no skillset: it has no note of Troupe");
}

expected<void> check_plugin(const std::filesystem::path& file) {
  const auto info = read_plugin(file);
  return info ? check(file, *info) : info.error();
}

expected<skillset*> open_plugin(const std::filesystem::path& file) {
  if (auto fits = check_plugin(file); !fits)
    return std::move(fits).error();
  // Absolute, or a bare name would be looked for among the system's libraries. Never closed: engines leave threads and
  // thread-local state behind that outlive any point where closing were safe.
  void* const object = dlopen(std::filesystem::absolute(file).c_str(), RTLD_NOW | RTLD_LOCAL);
  void* const symbol = object ? dlsym(object, plugin_entry_name) : nullptr;
  if (!symbol)
    return make_error(status_code::failed_precondition, "cannot open " + named(file) + ": " + dlerror(),
                      "see that all that it needs is installed");
  return enter(file, reinterpret_cast<skillset* (*)()>(symbol));
}

}  // namespace troupe
