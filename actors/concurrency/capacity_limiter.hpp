#pragma once

#include "actors/concurrency/owner.hpp"
#include "actors/concurrency/pending.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

namespace troupe {

/// Bounds how many may do something at once, and knows who they are. Each borrower holds one token at most; tokens are
/// given in the order of asking, a freed one belongs to the first who waits, and the total may be changed at any time.
/// Copies are the same limiter. Thread-safe.
class capacity_limiter {
 public:
  static constexpr std::int64_t infinite = -1;

  struct statistics {
    std::int64_t total;  ///< `infinite` for no limit
    std::size_t borrowed;
    std::vector<owner> borrowers;  ///< in the order of their coming
    std::size_t waiting;
  };

  /// One borrowed token: given back when this is destroyed. Move-only.
  class token;
  class acquire_operation;

  /// A limiter with `total` tokens, 0 or more, or `infinite`; INVALID_ARGUMENT for anything else. With 0 nobody gets in
  /// until there are more.
  static expected<capacity_limiter> make(std::int64_t total);

  /// INVALID_ARGUMENT as for `make`. More tokens let as many in who wait; with fewer nobody is thrown out.
  expected<void> set_total(std::int64_t total);

  /// Borrows a token for `borrower`. FAILED_PRECONDITION when it has one.
  acquire_operation acquire(owner borrower) const;

  /// The same without waiting: RESOURCE_EXHAUSTED when no token is free.
  expected<token> try_acquire(owner borrower) const;

  /// The same for those who are asked too often to make an error of each refusal.
  std::optional<token> acquire_if_free(owner borrower) const;

  /// Tokens that are free; negative when the total was lowered below what is borrowed. `infinite`'s are INT64_MAX.
  std::int64_t available() const;

  statistics stats() const;

 private:
  class state;

  explicit capacity_limiter(std::shared_ptr<state> of) : state_(std::move(of)) {}

  std::shared_ptr<state> state_;
};

class capacity_limiter::token {
 public:
  token(token&&) noexcept = default;
  token& operator=(token&& other) noexcept;
  ~token() { release(); }

  /// Gives the token back early. Once it was given back this does nothing.
  void release();

 private:
  friend class state;
  token(std::shared_ptr<state> of, owner borrower) : state_(std::move(of)), borrower_(borrower) {}

  std::shared_ptr<state> state_;
  owner borrower_;
};

class capacity_limiter::acquire_operation {
 public:
  using result_type = token;

  acquire_operation(std::shared_ptr<state> of, owner borrower) : state_(std::move(of)), borrower_(borrower) {}

  std::optional<expected<token>> begin(pending<token>& who);
  bool abandon(pending<token>& who, error why);

 private:
  std::shared_ptr<state> state_;
  owner borrower_;
};

}  // namespace troupe
