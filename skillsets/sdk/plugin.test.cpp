#include "skillsets/sdk/plugin.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <dlfcn.h>
#include <elf.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <random>
#include <sstream>

namespace troupe {
namespace {

using testing::HasSubstr;

std::string contents(const std::filesystem::path& file) {
  std::ostringstream text;
  text << std::ifstream{file, std::ios::binary}.rdbuf();
  return text.str();
}

/// The bytes of a plug-in, to be changed.
class image {
 public:
  explicit image(std::string what = contents(TROUPE_PLUGIN_FIXTURE)) : bytes(std::move(what)) {}

  Elf64_Ehdr& header() { return at<Elf64_Ehdr>(0); }
  Elf64_Phdr& segment(std::size_t index) { return at<Elf64_Phdr>(header().e_phoff + index * sizeof(Elf64_Phdr)); }

  /// The segment with our note.
  Elf64_Phdr& note_segment() {
    for (std::size_t i = 0; i != header().e_phnum; ++i)
      if (segment(i).p_type == PT_NOTE && segment(i).p_offset <= note_offset() &&
          note_offset() < segment(i).p_offset + segment(i).p_filesz)
        return segment(i);
    throw std::logic_error{"there is no note"};
  }

  detail::plugin_note& note() { return at<detail::plugin_note>(note_offset()); }

  std::string bytes;

 private:
  template <class T>
  T& at(std::size_t offset) {
    return *reinterpret_cast<T*>(bytes.data() + offset);
  }

  std::size_t note_offset() const { return bytes.find(std::string{"Troupe\0\0", 8}) - sizeof(Elf64_Nhdr); }
};

class plugin : public testing::Test {
 protected:
  plugin() { unsetenv("TROUPE_PLUGIN_FIXTURE_RAN"); }
  ~plugin() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path path(const std::string& name = "x.so") const { return folder_ / name; }

  std::filesystem::path write(const std::string& bytes) const {
    // A new file each time: the loader knows files that it has open again.
    std::filesystem::remove(path());
    std::ofstream{path(), std::ios::binary} << bytes;
    return path();
  }

  /// Why a file with these bytes is not opened; nothing of it may have run.
  error refused(const std::string& bytes) const { return refused_file(write(bytes)); }

  static error refused_file(const std::filesystem::path& file) {
    const auto opened = open_plugin(file);
    EXPECT_FALSE(opened);
    EXPECT_EQ(std::getenv("TROUPE_PLUGIN_FIXTURE_RAN"), nullptr) << "it ran";
    if (opened)
      return make_error(status_code::ok, "it was opened");
    EXPECT_THAT(opened.error().cause, HasSubstr(file.string()));
    EXPECT_NE(opened.error().remedy, "");
    return opened.error();
  }

  void expect_damaged(const std::string& bytes, const std::string& how) const {
    const auto why = refused(bytes);
    EXPECT_EQ(why.code, status_code::invalid_argument);
    EXPECT_THAT(why.cause, HasSubstr(how));
  }

 private:
  static std::filesystem::path make_folder() {
    std::string name{"/tmp/troupe-test-XXXXXX"};
    return mkdtemp(name.data());
  }

  const std::filesystem::path folder_ = make_folder();
};

TEST_F(plugin, says_what_it_was_built_with) {
  const auto info = read_plugin(TROUPE_PLUGIN_FIXTURE);
  ASSERT_TRUE(info) << to_string(info.error());
  EXPECT_EQ(*info, this_build());
  EXPECT_EQ(info->abi_version, plugin_abi_version);
  EXPECT_EQ(info->version, TROUPE_SDK_VERSION);
  EXPECT_THAT(info->build, HasSubstr("sdk " TROUPE_SDK_HASH));
  EXPECT_THAT(info->compiler, HasSubstr("+"));
  EXPECT_EQ(std::getenv("TROUPE_PLUGIN_FIXTURE_RAN"), nullptr);
}

TEST_F(plugin, opens_and_stays_open) {
  const auto file = write(image{}.bytes);
  const auto opened = open_plugin(file);
  ASSERT_TRUE(opened) << to_string(opened.error());
  EXPECT_EQ((*opened)->name(), "plugin_fixture");
  EXPECT_NE(std::getenv("TROUPE_PLUGIN_FIXTURE_RAN"), nullptr);
  const auto again = open_plugin(file);
  EXPECT_TRUE(again && *again == *opened);
}

TEST_F(plugin, shows_its_entry_alone) {
  ASSERT_TRUE(open_plugin(TROUPE_PLUGIN_FIXTURE));
  void* const object = dlopen(TROUPE_PLUGIN_FIXTURE, RTLD_NOW | RTLD_NOLOAD);
  ASSERT_NE(object, nullptr);
  EXPECT_NE(dlsym(object, plugin_entry_name), nullptr);
  EXPECT_EQ(dlsym(object, "plugin_fixture_inside"), nullptr);
}

TEST_F(plugin, opens_by_a_bare_name) {
  write(image{}.bytes);
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(path().parent_path());
  const auto opened = open_plugin("x.so");
  std::filesystem::current_path(before);
  EXPECT_TRUE(opened) << to_string(opened.error());
}

TEST_F(plugin, another_abi_version_is_refused_with_both) {
  image other;
  other.note().abi_version = 77;
  const auto why = refused(other.bytes);
  EXPECT_EQ(why.code, status_code::failed_precondition);
  EXPECT_THAT(why.cause, HasSubstr("ABI 77"));
  EXPECT_THAT(why.cause, HasSubstr("ABI " + std::to_string(plugin_abi_version)));
  EXPECT_THAT(why.remedy, HasSubstr("build it again"));
}

TEST_F(plugin, another_abi_version_may_say_less) {
  image other;
  other.note().abi_version = 77;
  other.note().content_size = 4;
  other.note_segment().p_filesz -= detail::plugin_note::content - 4;
  EXPECT_THAT(refused(other.bytes).cause, HasSubstr("ABI 77"));
}

TEST_F(plugin, another_build_is_refused_with_both) {
  image other;
  other.note().build[4] ^= 1;
  std::strcpy(other.note().compiler, "fancy++ 7");
  std::strcpy(other.note().version, "9.9");
  const auto why = refused(other.bytes);
  EXPECT_EQ(why.code, status_code::failed_precondition);
  EXPECT_THAT(why.cause, HasSubstr("SDK 9.9, fancy++ 7"));
  EXPECT_THAT(why.cause, HasSubstr(other.note().build));
  EXPECT_THAT(why.cause, HasSubstr(this_build().build));
  EXPECT_THAT(why.remedy, HasSubstr(TROUPE_SDK_VERSION));
}

TEST_F(plugin, texts_need_no_end) {
  image other;
  std::memset(other.note().build, 'x', sizeof other.note().build);
  std::memset(other.note().version, 'y', sizeof other.note().version);
  const auto info = read_plugin(write(other.bytes));
  ASSERT_TRUE(info);
  EXPECT_EQ(info->build, std::string(sizeof other.note().build, 'x'));
  EXPECT_EQ(info->version, std::string(sizeof other.note().version, 'y'));
}

TEST_F(plugin, texts_are_fit_to_be_shown) {
  image other;
  std::strcpy(other.note().build, "a\nb\x1b[1m\xff");
  const auto info = read_plugin(write(other.bytes));
  ASSERT_TRUE(info);
  EXPECT_EQ(info->build, "a?b?[1m?");
}

TEST_F(plugin, what_is_not_there_is_not_found) {
  EXPECT_EQ(refused_file(path("none.so")).code, status_code::not_found);
  write("");
  EXPECT_EQ(refused_file(path() / "below.so").code, status_code::not_found);
}

TEST_F(plugin, what_is_no_file_keeps_nobody_waiting) {
  ASSERT_EQ(mkfifo(path("fifo").c_str(), 0600), 0);
  std::filesystem::create_directory(path("folder"));
  std::filesystem::create_symlink(path("fifo"), path("link"));
  for (const auto& file : {path("fifo"), path("folder"), path("link"), std::filesystem::path{"/dev/zero"}}) {
    const auto why = refused_file(file);
    EXPECT_EQ(why.code, status_code::invalid_argument);
    EXPECT_THAT(why.cause, HasSubstr("is no regular file"));
  }
}

TEST_F(plugin, what_may_not_be_read_is_permission_denied) {
  write(image{}.bytes);
  std::filesystem::permissions(path(), std::filesystem::perms::none);
  // Root may read everything.
  const auto before = geteuid();
  ASSERT_EQ(before == 0 ? seteuid(65534) : 0, 0);
  const auto why = refused_file(path());
  ASSERT_EQ(seteuid(before), 0);
  EXPECT_EQ(why.code, status_code::permission_denied);
}

TEST_F(plugin, what_is_no_elf_file_is_refused) {
  expect_damaged("", "is no ELF file");
  expect_damaged("\x7f", "is no ELF file");
  expect_damaged("#!/bin/sh\nexit 0\n", "is no ELF file");
  expect_damaged(std::string(1 << 20, '\0'), "is no ELF file");
}

TEST_F(plugin, a_huge_file_costs_nothing) {
  write("");
  std::filesystem::resize_file(path(), std::uintmax_t{1} << 40);
  EXPECT_THAT(refused_file(path()).cause, HasSubstr("is no ELF file"));
  image real;
  write(real.bytes);
  std::filesystem::resize_file(path(), std::uintmax_t{1} << 40);
  EXPECT_TRUE(read_plugin(path()));
}

TEST_F(plugin, another_machine_is_refused) {
  image other;
  other.header().e_machine = EM_S390;
  expect_damaged(other.bytes, "its ELF number is 22");
  image narrow;
  narrow.header().e_ident[EI_CLASS] = ELFCLASS32;
  expect_damaged(narrow.bytes, "word size or byte order");
  image big;
  big.header().e_ident[EI_DATA] = ELFDATA2MSB;
  expect_damaged(big.bytes, "word size or byte order");
}

TEST_F(plugin, what_is_no_shared_object_is_refused) {
  image object;
  object.header().e_type = ET_REL;
  expect_damaged(object.bytes, "no shared object");
  const auto why = refused_file("/proc/self/exe");
  EXPECT_THAT(why.cause, HasSubstr("has no note of Troupe"));
}

TEST_F(plugin, a_header_that_makes_no_sense_is_refused) {
  image sizes;
  sizes.header().e_phentsize = 1;
  expect_damaged(sizes.bytes, "its header makes no sense");
  image many;
  many.header().e_phnum = 0xffff;
  expect_damaged(many.bytes, "its header makes no sense");
  for (const auto offset : {std::uint64_t{1} << 40, ~std::uint64_t{0}, ~std::uint64_t{0} / 2}) {
    image far;
    far.header().e_phoff = offset;
    expect_damaged(far.bytes, "ends within its program headers");
  }
  image none;
  none.header().e_phnum = 0;
  expect_damaged(none.bytes, "has no note of Troupe");
}

TEST_F(plugin, notes_that_make_no_sense_are_refused) {
  for (const auto size : {std::uint64_t{1} << 40, ~std::uint64_t{0}}) {
    image huge;
    huge.note_segment().p_filesz = size;
    expect_damaged(huge.bytes, "ends before");
  }
  for (const auto offset : {std::uint64_t{1} << 40, ~std::uint64_t{0}}) {
    image far;
    far.note_segment().p_offset = offset;
    expect_damaged(far.bytes, "ends before");
  }
  image large;
  large.bytes.resize(std::size_t{2} << 20);
  large.note_segment().p_filesz = std::size_t{1} << 21;
  large.note_segment().p_offset = 0;
  expect_damaged(large.bytes, "its notes make no sense");
  for (const auto size : {0u, 5u, detail::plugin_note::content - 1, detail::plugin_note::content + 1, ~0u, ~0u - 3}) {
    image content;
    content.note().content_size = size;
    expect_damaged(content.bytes, "its notes make no sense");
  }
  image name;
  name.note().name_size = ~0u;
  expect_damaged(name.bytes, "its notes make no sense");
}

TEST_F(plugin, a_note_of_somebody_else_is_not_ours) {
  image owner;
  owner.note().name[0] = 'G';
  expect_damaged(owner.bytes, "has no note of Troupe");
  image type;
  type.note().type = 2;
  expect_damaged(type.bytes, "has no note of Troupe");
}

TEST_F(plugin, a_file_that_lacks_its_end_is_refused) {
  image whole;
  std::size_t end = 0;
  for (std::size_t i = 0; i != whole.header().e_phnum; ++i)
    end = std::max(end, whole.segment(i).p_offset + whole.segment(i).p_filesz);
  for (std::size_t size = 0; size < end; size += 1 + size / 512)
    EXPECT_EQ(refused(whole.bytes.substr(0, size)).code, status_code::invalid_argument) << size;
  EXPECT_EQ(refused(whole.bytes.substr(0, end - 1)).code, status_code::invalid_argument);
}

TEST_F(plugin, what_the_loader_refuses_is_told_in_its_words) {
  image odd;
  odd.header().e_ident[EI_OSABI] = 99;
  const auto why = refused(odd.bytes);
  EXPECT_EQ(why.code, status_code::failed_precondition);
  EXPECT_THAT(why.cause, HasSubstr("cannot open"));
  EXPECT_THAT(why.cause, HasSubstr("OS ABI invalid"));
}

TEST_F(plugin, no_byte_of_its_headers_and_notes_can_crash_the_reader) {
  const image whole;
  const auto end = image{}.note_segment().p_offset + image{}.note_segment().p_filesz;
  std::mt19937 random{7};
  std::fstream file{write(whole.bytes), std::ios::binary | std::ios::in | std::ios::out};
  for (int i = 0; i != 20'000; ++i) {
    auto bytes = whole.bytes.substr(0, end);
    for (int changes = 0; changes != 1 + i % 4; ++changes)
      bytes[random() % end] = static_cast<char>(random());
    file.seekp(0).write(bytes.data(), static_cast<std::streamsize>(bytes.size())).flush();
    const auto info = read_plugin(path());
    if (!info) {
      EXPECT_THAT(info.error().cause, HasSubstr(path().string()));
    }
  }
}

}  // namespace
}  // namespace troupe
