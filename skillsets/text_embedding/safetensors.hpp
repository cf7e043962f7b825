#pragma once

#include "actors/concurrency/error.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace troupe {

/// A named array in a safetensors file: row-major, little-endian. `data` has as many bytes as shape and type say, and
/// lives as long as the file's `mapping()`. Its address may have any alignment.
struct safetensor {
  std::string type;  ///< as the format spells it, such as `F32` or `BF16`
  std::vector<std::int64_t> shape;
  std::span<const std::byte> data;
};

/// The weights of a model as the safetensors format keeps them (https://github.com/huggingface/safetensors, "Format"):
/// 8 bytes with the length of a JSON header, the header, the data that the tensors share out without gap or overlap.
/// The file is mapped, so it must not be changed in place while it is in use; replacing it by renaming is fine.
class safetensors_file {
 public:
  /// Maps and checks the file at `path`. INVALID_ARGUMENT, naming the file and the tensor, when anything in it does not
  /// hold together; NOT_FOUND when it can't be opened.
  static expected<safetensors_file> open(const std::filesystem::path& path);

  /// The tensor of this name; null without one.
  const safetensor* find(std::string_view name) const;

  const std::map<std::string, safetensor, std::less<>>& tensors() const noexcept { return tensors_; }

  /// Keeps the data of every tensor in memory.
  const std::shared_ptr<const void>& mapping() const noexcept { return mapping_; }

 private:
  std::shared_ptr<const void> mapping_;
  std::map<std::string, safetensor, std::less<>> tensors_;
};

}  // namespace troupe
