#pragma once

#include "actors/concurrency/clock.hpp"
#include "actors/concurrency/error.hpp"
#include "actors/serving/model_folder.hpp"
#include "skillsets/sdk/skillset.hpp"

#include <any>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <unordered_map>

namespace troupe {

class inference_call;
class served_model;
struct sequence_counts;

/// The sequences of a stateful model: which are live, the state of each, and which of its requests has its turn.
///
/// **Turns.** The requests of a sequence run one at a time, in the order in which they came. One whose turn it is goes
/// into the model's queue, where it meets those of other sequences; the next has its turn when nobody works on it any
/// more, whether it was answered, refused or cancelled. What waits here counts with what is in the queue, and is
/// refused beyond the queue's capacity; what is cancelled while it waits never runs.
///
/// **State.** A request finds the state that the one before it left, and what it leaves itself counts only when it was
/// answered with a response; otherwise all is as it was. Only a start is different: it gives up what its sequence was
/// before, and one that fails or is cancelled leaves no sequence, so that those behind it don't go on with what they
/// don't belong to.
///
/// **Ends.** A sequence is over when its end was answered, and when it had no request for `max_idle`. There are at most
/// `capacity` at a time, without those whose end runs: who has been answered that may start another before its turn is
/// over here.
///
/// Belongs to one actor: not thread-safe. A call that comes here is answered once, by whoever gives its last word, and
/// those that wait when the table is destroyed are told that their sequence is gone.
class sequence_table {
 public:
  struct statistics {
    std::size_t live = 0;     ///< begun, and not over
    std::size_t waiting = 0;  ///< requests that wait for their turn
  };

  /// `on_end` is called from any thread when nobody works any more on the request of this sequence that had its turn;
  /// it must not block, and see to it that `ended` is called.
  sequence_table(std::shared_ptr<served_model> model, troupe::clock& time,
                 std::function<void(const sequence_id&)> on_end);
  ~sequence_table();
  sequence_table(const sequence_table&) = delete;
  sequence_table& operator=(const sequence_table&) = delete;

  /// Takes a request, which has a step, to its sequence. INVALID_ARGUMENT for one that was not started,
  /// RESOURCE_EXHAUSTED where there is no room; those are answers, too.
  void add(std::shared_ptr<inference_call> call);

  /// Goes on after the request of `id` that had its turn.
  void ended(const sequence_id& id);

  /// Answers the cancelled requests of a sequence, or of all, that have not begun to run.
  void withdraw_cancelled(const std::optional<sequence_id>& id);

  /// Ends all sequences, and answers whatever waits with the reason.
  void end_all(const error& why);

  /// Ends what has been idle for too long.
  void expire();

  /// When that is due for the next one; `no_deadline` when none is idle.
  steady_clock::time_point next_expiry() const;

  statistics stats() const;

 private:
  /// A request, and which start it belongs to: the first has 1, the next 2.
  struct turn {
    std::shared_ptr<inference_call> call;
    std::uint64_t start = 0;
  };

  struct sequence {
    std::shared_ptr<const std::any> state;
    std::uint64_t live = 0;     // the start that the state comes from; 0: there is none
    std::uint64_t arrived = 0;  // the last start that came
    turn current;               // has its turn, or no call
    std::deque<turn> waiting;
    steady_clock::time_point idle_since;
    std::optional<std::list<const sequence_id*>::iterator> idle;
  };

  using map = std::unordered_map<sequence_id, sequence>;

  std::optional<error> why_no_new(const inference_call& call) const;
  bool has_room() const;
  error no_room() const;
  void refuse(inference_call& call, const error& why);
  error not_started(const sequence_id& id) const;
  void begin(sequence& of, turn next);
  void advance(sequence& of);
  void drop_cancelled(sequence& of);
  void give_up(inference_call& call, const error& why);
  void touch(sequence& of);
  void settle(map::iterator of);
  map::iterator erase(map::iterator of);

  const std::shared_ptr<served_model> model_;
  const sequence_settings settings_;
  sequence_counts& counts_;
  troupe::clock& clock_;
  const std::function<void(const sequence_id&)> on_end_;
  map sequences_;
  std::list<const sequence_id*> idle_;  // who is idle longest comes first
  std::size_t waiting_ = 0;
  std::size_t ending_ = 0;  // those whose end has its turn
};

}  // namespace troupe
