#include "skillsets/text_embedding/safetensors.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <optional>
#include <system_error>

namespace troupe {

static_assert(std::endian::native == std::endian::little, "safetensors files are little-endian");

namespace {

using nlohmann::json;

constexpr std::size_t length_prefix = 8;
/// What the reference implementation accepts (`MAX_HEADER_SIZE`).
constexpr std::uint64_t largest_header = 100'000'000;

/// Bytes an element of the type takes; 0 for an unknown type and for those of less than a byte.
std::size_t size_of(std::string_view type) {
  static constexpr std::pair<std::string_view, std::size_t> sizes[] = {
      {"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E5M2", 1}, {"F8_E4M3", 1}, {"F8_E8M0", 1},
      {"I16", 2},  {"U16", 2}, {"F16", 2}, {"BF16", 2},    {"I32", 4},     {"U32", 4},
      {"F32", 4},  {"F64", 8}, {"I64", 8}, {"U64", 8},     {"C64", 8}};
  for (const auto& [name, size] : sizes)
    if (name == type)
      return size;
  return 0;
}

error wrong(const std::filesystem::path& path, const std::string& what) {
  return make_error(status_code::invalid_argument, "weights '" + path.string() + "' " + what,
                    "fetch the file again and compare its sha256");
}

struct mapping {
  std::shared_ptr<const void> owner;
  std::span<const std::byte> bytes;
};

/// Closes a file at the end of a block; the mapping lives on.
struct descriptor {
  explicit descriptor(const std::filesystem::path& path) : number(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;
  ~descriptor() {
    if (number >= 0)
      ::close(number);
  }

  int number;
};

expected<mapping> map(const std::filesystem::path& path) {
  const auto failed = [&](status_code code, const std::string& what) {
    return make_error(code, what + " '" + path.string() + "': " + std::generic_category().message(errno));
  };
  const descriptor file{path};
  if (file.number < 0)
    return failed(status_code::not_found, "can't open the weights");
  struct stat status {};
  if (::fstat(file.number, &status) != 0)
    return failed(status_code::invalid_argument, "can't examine the weights");
  if (!S_ISREG(status.st_mode))
    return wrong(path, "is not a file");
  const auto size = static_cast<std::size_t>(status.st_size);
  if (size < length_prefix)
    return wrong(path, "has " + std::to_string(size) + " bytes, too few for safetensors");
  void* const address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.number, 0);
  if (address == MAP_FAILED)
    return failed(status_code::resource_exhausted, "can't map the weights");
  std::shared_ptr<const void> owner{address, [size](const void* p) { ::munmap(const_cast<void*>(p), size); }};
  return mapping{owner, {static_cast<const std::byte*>(address), size}};
}

/// The JSON object at the start of the file.
expected<json> parse_header(const std::filesystem::path& path, std::span<const std::byte> file, std::uint64_t length) {
  if (length > largest_header || length > file.size() - length_prefix)
    return wrong(path, "claims a header of " + std::to_string(length) + " bytes in a file of " +
                           std::to_string(file.size()) + "; it is truncated or not safetensors");
  const auto* const text = reinterpret_cast<const char*>(file.data()) + length_prefix;
  auto header = json::parse(text, text + length, nullptr, false);
  if (!header.is_object())
    return wrong(path, "has a header that is not a JSON object");
  return header;
}

/// A natural number of at most 63 bits.
std::optional<std::uint64_t> natural(const json& value) {
  if (!value.is_number_unsigned() || value.get<std::uint64_t>() > INT64_MAX)
    return std::nullopt;
  return value.get<std::uint64_t>();
}

/// The bytes that shape and type ask for; nothing when they are more than 64 bits can count.
std::optional<std::uint64_t> size_in_bytes(const safetensor& tensor) {
  std::uint64_t size = size_of(tensor.type);
  for (const auto extent : tensor.shape)
    if (__builtin_mul_overflow(size, static_cast<std::uint64_t>(extent), &size))
      return std::nullopt;
  return size;
}

/// One entry of the header, checked against the bytes that follow the header. The error is the bare cause.
expected<safetensor> parse_tensor(const json& entry, std::span<const std::byte> data) {
  const auto bad = [](std::string what) { return make_error(status_code::invalid_argument, std::move(what)); };
  if (!entry.is_object() || !entry.contains("dtype") || !entry.contains("shape") || !entry.contains("data_offsets"))
    return bad("lacks a dtype, a shape or data_offsets");
  if (!entry["dtype"].is_string() || size_of(entry["dtype"].get_ref<const std::string&>()) == 0)
    return bad("has the unknown dtype " + entry["dtype"].dump(-1, ' ', true, json::error_handler_t::replace));
  safetensor tensor{entry["dtype"].get<std::string>(), {}, {}};
  if (!entry["shape"].is_array())
    return bad("has a shape that is not an array");
  for (const auto& value : entry["shape"]) {
    const auto extent = natural(value);
    if (!extent)
      return bad("has a shape with an extent that is not a natural number");
    tensor.shape.push_back(static_cast<std::int64_t>(*extent));
  }
  const auto& offsets = entry["data_offsets"];
  const bool pair = offsets.is_array() && offsets.size() == 2;
  const auto begin = pair ? natural(offsets[0]) : std::nullopt;
  const auto end = pair ? natural(offsets[1]) : std::nullopt;
  if (!begin || !end || *begin > *end)
    return bad("has data_offsets that are not a begin and an end");
  if (*end > data.size())
    return bad("ends at byte " + std::to_string(*end) + " of the data, which has " + std::to_string(data.size()));
  if (size_in_bytes(tensor) != *end - *begin)
    return bad("has " + std::to_string(*end - *begin) + " bytes, which is not what its shape and dtype take");
  tensor.data = data.subspan(*begin, *end - *begin);
  return tensor;
}

/// Whether the tensors share out `data` without gap or overlap; if not, the name of the first that doesn't begin where
/// the one before ends, or an empty name when bytes are left at the end.
std::optional<std::string_view> find_gap(const std::map<std::string, safetensor, std::less<>>& tensors,
                                         std::span<const std::byte> data) {
  std::vector<std::pair<std::span<const std::byte>, std::string_view>> parts;
  for (const auto& [name, tensor] : tensors)
    parts.emplace_back(tensor.data, name);
  std::sort(parts.begin(), parts.end(), [](const auto& a, const auto& b) {
    return std::pair{a.first.data(), a.first.size()} < std::pair{b.first.data(), b.first.size()};
  });
  const auto* next = data.data();
  for (const auto& [part, name] : parts) {
    if (part.data() != next)
      return name;
    next += part.size();
  }
  return next == data.data() + data.size() ? std::nullopt : std::optional{std::string_view{}};
}

}  // namespace

expected<safetensors_file> safetensors_file::open(const std::filesystem::path& path) {
  auto mapped = map(path);
  if (!mapped)
    return mapped.error();
  std::uint64_t length = 0;
  std::memcpy(&length, mapped->bytes.data(), length_prefix);
  const auto header = parse_header(path, mapped->bytes, length);
  if (!header)
    return header.error();
  const auto data = mapped->bytes.subspan(length_prefix + length);
  safetensors_file file;
  file.mapping_ = mapped->owner;
  for (const auto& [name, entry] : header->items()) {
    if (name == "__metadata__")
      continue;
    auto tensor = parse_tensor(entry, data);
    if (!tensor)
      return wrong(path, "tensor '" + name + "' " + tensor.error().cause);
    file.tensors_.emplace(name, *std::move(tensor));
  }
  if (const auto gap = find_gap(file.tensors_, data))
    return wrong(path, gap->empty() ? "has bytes at the end that belong to no tensor"
                                    : "tensor '" + std::string{*gap} + "' overlaps with another or leaves a gap");
  return file;
}

const safetensor* safetensors_file::find(std::string_view name) const {
  const auto i = tensors_.find(name);
  return i == tensors_.end() ? nullptr : &i->second;
}

}  // namespace troupe
