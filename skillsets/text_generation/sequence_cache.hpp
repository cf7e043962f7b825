#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace troupe {

/// What is done to the engine's memory of keys and values; sequences are numbered from 0.
class cache_memory {
 public:
  virtual ~cache_memory() = default;

  /// Makes the first `count` tokens of `from` those of `to`, which is empty. Both have them then, and they take the
  /// room of one.
  virtual void copy(std::int32_t from, std::int32_t to, std::size_t count) = 0;

  /// Leaves the first `count` tokens of a sequence.
  virtual void truncate(std::int32_t sequence, std::size_t count) = 0;
};

/// Which tokens the engine's memory has in which sequence, so that a text that begins like another one needn't be
/// computed from its beginning again. A sequence is in use, kept after use for those that may come, or empty; who was
/// kept longest unused goes first when there is need of a sequence, or of room.
class sequence_cache {
 public:
  using token = std::int32_t;

  /// A sequence in use, with so many of its tokens already there.
  struct place {
    std::int32_t sequence;
    std::size_t reused;
  };

  /// So many of the sequences are `kept` at most. With `sharing`, tokens are shared between sequences; else a text can
  /// only go on in a sequence that was kept. One with fewer than `least` tokens in common is not worth it.
  sequence_cache(cache_memory& memory, std::size_t sequences, std::size_t kept, bool sharing, std::size_t least = 8);

  /// A place for a text, of which one token at least is left to compute. There are sequences that are not in use.
  place open(std::span<const token> text);

  /// How many of a text's tokens `open` would find now.
  std::size_t shared(std::span<const token> text) const;

  /// These tokens were computed.
  void append(std::int32_t sequence, std::span<const token> tokens);

  /// What the sequence was told to hold and does; the rest of what is there is not wanted.
  void trim(std::int32_t sequence);

  std::size_t size(std::int32_t sequence) const { return entries_[static_cast<std::size_t>(sequence)].tokens.size(); }

  /// Ends the use of a sequence, whose tokens are kept, in the place of the oldest if need be; or forgotten.
  void keep(std::int32_t sequence);
  void drop(std::int32_t sequence);

  /// Forgets the sequence that was kept longest unused; false when none is.
  bool forget_oldest();

  std::size_t kept() const noexcept;

 private:
  enum class state : std::uint8_t { empty, used, kept };

  struct entry {
    state is = state::empty;
    std::vector<token> tokens;
    std::uint64_t last_use = 0;
  };

  /// The sequence with the longest beginning in common, and how long that is.
  std::pair<std::optional<std::size_t>, std::size_t> best(std::span<const token> text) const;
  std::size_t empty_one();
  void clear(std::size_t index);

  cache_memory& memory_;
  const std::size_t most_kept_;
  const bool sharing_;
  const std::size_t least_;
  std::vector<entry> entries_;
  std::uint64_t uses_ = 0;
};

/// How many tokens two texts have in common at their beginning.
std::size_t common_prefix(std::span<const std::int32_t> a, std::span<const std::int32_t> b);

}  // namespace troupe
