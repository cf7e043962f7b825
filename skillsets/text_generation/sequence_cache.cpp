#include "skillsets/text_generation/sequence_cache.hpp"

#include <algorithm>
#include <utility>

namespace troupe {

std::size_t common_prefix(std::span<const std::int32_t> a, std::span<const std::int32_t> b) {
  return static_cast<std::size_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin());
}

sequence_cache::sequence_cache(cache_memory& memory, std::size_t sequences, std::size_t kept, bool sharing,
                               std::size_t least)
    : memory_(memory),
      most_kept_(kept),
      sharing_(sharing),
      least_(std::max<std::size_t>(least, 1)),
      entries_(sequences) {}

sequence_cache::place sequence_cache::open(std::span<const token> text) {
  const auto [from, count] = best(text);
  auto index = from.value_or(0);
  if (!from) {
    index = empty_one();
  } else if (!sharing_) {
    memory_.truncate(static_cast<std::int32_t>(index), count);
  } else {
    // Before an empty one is looked for, which may cost the oldest its place.
    entries_[*from].last_use = ++uses_;
    index = empty_one();
    if (index != *from)
      memory_.copy(static_cast<std::int32_t>(*from), static_cast<std::int32_t>(index), count);
  }
  auto& taken = entries_[index];
  taken.is = state::used;
  taken.tokens.assign(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(count));
  taken.last_use = ++uses_;
  return {static_cast<std::int32_t>(index), count};
}

std::size_t sequence_cache::shared(std::span<const token> text) const {
  return best(text).second;
}

std::pair<std::optional<std::size_t>, std::size_t> sequence_cache::best(std::span<const token> text) const {
  std::pair<std::optional<std::size_t>, std::size_t> found{std::nullopt, 0};
  const auto wanted = text.subspan(0, text.empty() ? 0 : text.size() - 1);
  for (std::size_t i = 0; i != entries_.size(); ++i) {
    const auto& each = entries_[i];
    if (each.is == state::empty || (each.is == state::used && !sharing_))
      continue;
    if (const auto count = common_prefix(wanted, each.tokens); count >= least_ && count > found.second)
      found = {i, count};
  }
  return found;
}

/// An empty sequence, made so if need be.
std::size_t sequence_cache::empty_one() {
  const auto is_empty = [](const entry& each) { return each.is == state::empty; };
  auto found = std::find_if(entries_.begin(), entries_.end(), is_empty);
  if (found == entries_.end()) {
    forget_oldest();
    found = std::find_if(entries_.begin(), entries_.end(), is_empty);
  }
  return static_cast<std::size_t>(found - entries_.begin());
}

void sequence_cache::append(std::int32_t sequence, std::span<const token> tokens) {
  auto& of = entries_[static_cast<std::size_t>(sequence)].tokens;
  of.insert(of.end(), tokens.begin(), tokens.end());
}

void sequence_cache::trim(std::int32_t sequence) {
  memory_.truncate(sequence, size(sequence));
}

void sequence_cache::keep(std::int32_t sequence) {
  auto& of = entries_[static_cast<std::size_t>(sequence)];
  of.is = state::kept;
  of.last_use = ++uses_;
  // What is all contained in another one is of no further use.
  for (std::size_t i = 0; i != entries_.size(); ++i)
    if (&entries_[i] != &of && entries_[i].is == state::kept &&
        common_prefix(entries_[i].tokens, of.tokens) == entries_[i].tokens.size())
      clear(i);
  if (kept() > most_kept_)
    forget_oldest();
}

void sequence_cache::drop(std::int32_t sequence) {
  clear(static_cast<std::size_t>(sequence));
}

bool sequence_cache::forget_oldest() {
  entry* oldest = nullptr;
  for (auto& each : entries_)
    if (each.is == state::kept && (!oldest || each.last_use < oldest->last_use))
      oldest = &each;
  if (oldest)
    clear(static_cast<std::size_t>(oldest - entries_.data()));
  return oldest;
}

std::size_t sequence_cache::kept() const noexcept {
  return static_cast<std::size_t>(
      std::count_if(entries_.begin(), entries_.end(), [](const entry& each) { return each.is == state::kept; }));
}

void sequence_cache::clear(std::size_t index) {
  memory_.truncate(static_cast<std::int32_t>(index), 0);
  entries_[index] = {};
}

}  // namespace troupe
