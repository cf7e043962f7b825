#include "skillsets/text_generation/text_stream.hpp"

#include <utf8.h>

#include <algorithm>
#include <iterator>
#include <utility>

namespace troupe {
namespace {

/// How many bytes at the end are the beginning of a character that may yet become whole.
std::size_t unfinished(std::string_view text) {
  for (std::size_t back = 1; back <= std::min<std::size_t>(3, text.size()); ++back) {
    const auto byte = static_cast<unsigned char>(text[text.size() - back]);
    if ((byte & 0xC0) == 0x80)
      continue;
    const std::size_t length = byte >= 0xF8 ? 1 : byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1;
    return length > back ? back : 0;
  }
  return 0;
}

}  // namespace

std::size_t begun(std::string_view text, std::string_view word) {
  for (auto size = std::min(text.size(), word.size() - 1); size != 0; --size)
    if (text.ends_with(word.substr(0, size)))
      return size;
  return 0;
}

text_stream::text_stream(std::vector<std::string> stops) : stops_(std::move(stops)) {}

std::string text_stream::push(std::string_view bytes) {
  if (stopped_)
    return {};
  held_ += bytes;
  auto first = std::string::npos;
  for (const auto& stop : stops_)
    first = std::min(first, held_.find(stop));
  if (first != std::string::npos) {
    stopped_ = true;
    held_.resize(first);
    return finish();
  }
  auto back = unfinished(held_);
  for (const auto& stop : stops_)
    back = std::max(back, begun(held_, stop));
  return give(held_.size() - back);
}

std::string text_stream::finish() {
  return give(held_.size());
}

std::string text_stream::give(std::size_t bytes) {
  std::string text;
  utf8::replace_invalid(held_.begin(), held_.begin() + static_cast<std::ptrdiff_t>(bytes), std::back_inserter(text));
  held_.erase(0, bytes);
  given_ += bytes;
  return text;
}

}  // namespace troupe
