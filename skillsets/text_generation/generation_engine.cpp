#include "skillsets/text_generation/generation_engine.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace troupe {
namespace {

constexpr std::size_t most_sequences = 256;  // of llama.cpp's

/// From 64 tokens on flash attention sums up in another order, and what a text says would depend on who else is there.
constexpr std::size_t widest = 63;

/// Less than this is not worth giving up a step for.
constexpr std::size_t long_reading = 16;

llama_context_params parameters_of(const engine_settings& settings, std::size_t sequences) {
  auto parameters = llama_context_default_params();
  const auto chunk = settings.chunk + settings.parallel;
  parameters.n_ctx = static_cast<std::uint32_t>(settings.cache_tokens);
  parameters.n_batch = static_cast<std::uint32_t>(chunk);
  parameters.n_ubatch = static_cast<std::uint32_t>(std::min(chunk, widest));
  parameters.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_ENABLED;
  parameters.n_seq_max = static_cast<std::uint32_t>(sequences);
  parameters.n_outputs_max = static_cast<std::uint32_t>(sequences);
  parameters.n_outputs_max_per_seq = 1;
  parameters.kv_unified = !settings.exact;
  parameters.n_threads = parameters.n_threads_batch = static_cast<std::int32_t>(settings.threads);
  parameters.no_perf = true;
  return parameters;
}

std::size_t sequences_of(const engine_settings& settings) {
  return std::min(settings.exact ? settings.parallel : settings.parallel + settings.kept, most_sequences);
}

}  // namespace

expected<std::unique_ptr<generation_engine>> generation_engine::make(const text_model& model,
                                                                     const engine_settings& settings) {
  llama::context_ptr context{
      llama_init_from_model(model.weights.get(), parameters_of(settings, sequences_of(settings)))};
  if (!context)
    return make_error(status_code::resource_exhausted,
                      "llama.cpp can't make a context of " + std::to_string(settings.cache_tokens) + " tokens",
                      "set the option cache_tokens to less");
  return std::unique_ptr<generation_engine>{new generation_engine{model, settings, std::move(context)}};
}

generation_engine::generation_engine(const text_model& model, const engine_settings& settings,
                                     llama::context_ptr context)
    : model_(model),
      settings_(settings),
      team_(std::make_unique<llama::thread_team>(settings.threads)),
      context_(std::move(context)),
      batch_(llama_batch_init(static_cast<std::int32_t>(settings.chunk + settings.parallel), 0, 1)),
      cache_(*this, sequences_of(settings), settings.kept, !settings.exact),
      pace_(std::min<std::size_t>(8, settings.chunk), settings.chunk) {
  team_->attach_to(*context_);
  llama_set_abort_callback(
      context_.get(), [](void* flag) { return static_cast<std::atomic<bool>*>(flag)->load(std::memory_order_relaxed); },
      &abort_);
}

generation_engine::~generation_engine() {
  llama_batch_free(batch_);
}

// -- the memory -------------------------------------------------------------------------------------------------------

void generation_engine::copy(std::int32_t from, std::int32_t to, std::size_t count) {
  llama_memory_seq_cp(llama_get_memory(context_.get()), from, to, 0, static_cast<llama_pos>(count));
}

void generation_engine::truncate(std::int32_t sequence, std::size_t count) {
  llama_memory_seq_rm(llama_get_memory(context_.get()), sequence, static_cast<llama_pos>(count), -1);
}

// -- who is in --------------------------------------------------------------------------------------------------------

expected<void> generation_engine::admit(work_item& item) {
  auto writing = generation::begin(model_, item);
  if (!writing)
    return writing.error();
  if ((*writing)->counts_only()) {
    (*writing)->finish("length");
    return {};
  }
  auto& one = texts_.emplace_back();
  one.writing = *std::move(writing);
  one.arrival = arrivals_++;
  one.on_cancel.emplace(item.token().stop(), [this, &one] { on_cancelled(one); });
  return {};
}

void generation_engine::evict(work_item& item) noexcept {
  const auto found =
      std::find_if(texts_.begin(), texts_.end(), [&](const text& one) { return &one.writing->item() == &item; });
  if (found == texts_.end())
    return;
  end(*found, false);
  texts_.erase(found);
}

/// Those who are in, the most urgent first.
std::vector<generation_engine::text*> generation_engine::in_order() {
  std::vector<text*> all;
  for (auto& one : texts_)
    all.push_back(&one);
  std::sort(all.begin(), all.end(), [](const text* a, const text* b) {
    return std::pair{a->writing->priority(), a->arrival} < std::pair{b->writing->priority(), b->arrival};
  });
  return all;
}

/// A text goes out of the memory, which keeps its tokens for others or not.
void generation_engine::end(text& one, bool keep) {
  if (const auto sequence = std::exchange(one.sequence, std::nullopt))
    keep ? cache_.keep(*sequence) : cache_.drop(*sequence);
  one.done = 0;
  full_ = false;
}

/// From any thread.
void generation_engine::on_cancelled(text& one) noexcept {
  if (one.awaited.exchange(false) && (awaited_.fetch_sub(1) == 1 || may_abort_))
    abort_ = true;
}

// -- a step -----------------------------------------------------------------------------------------------------------

expected<void> generation_engine::step() {
  for (;;) {
    prepare();
    if (batch_.n_tokens == 0)
      return make_error(status_code::internal, "no text can go on");
    on_step();
    const auto computed = compute();
    if (!computed)
      return computed.error();
    // 1: there is no room for all of it. 2: it was given up.
    settle(*computed == 0);
    if (*computed == 0) {
      choose();
      return {};
    }
    if (*computed == 2)
      return {};
    if (!make_room())
      return make_error(status_code::resource_exhausted,
                        "the memory of " + std::to_string(settings_.cache_tokens) + " tokens is too small for one text",
                        "set the option cache_tokens to more, or context to less");
  }
}

/// Fills the batch: a token each of those who are past their prompts, and what fits of the prompts of the others.
void generation_engine::prepare() {
  batch_.n_tokens = 0;
  reading_ = 0;
  const auto all = in_order();
  std::size_t writers = 0;
  for (auto* one : all)
    if (one->sequence && one->left() == 1) {
      take(*one, 1);
      ++writers;
    }
  auto room = pace_.tokens(settings_.step, writers);
  for (auto* one : all) {
    if (room == 0)
      break;
    if (one->taken != 0 || !begin_text(*one, all))
      continue;
    const auto count = std::min(room, one->left());
    take(*one, count);
    reading_ += count;
    room -= count;
  }
}

/// Gives a text its place in the memory, if it has none. False where it has to wait until another one ends, or until
/// one that begins alike has been read further.
bool generation_engine::begin_text(text& one, const std::vector<text*>& others) {
  if (one.sequence)
    return true;
  if (full_)
    return false;
  const auto tokens = one.writing->tokens();
  if (!settings_.exact) {
    const auto there = cache_.shared(tokens);
    for (const auto* other : others)
      if (other->sequence && other->left() > 1 &&
          common_prefix(tokens.first(tokens.size() - 1), other->writing->tokens()) > there + long_reading)
        return false;
  }
  const auto [sequence, reused] = cache_.open(tokens);
  one.sequence = sequence;
  one.done = reused;
  if (one.writing->chosen() == 0)
    one.writing->set_reused(reused);
  counts_.reused += reused;
  return true;
}

void generation_engine::take(text& one, std::size_t count) {
  const auto tokens = one.writing->tokens().subspan(one.done, count);
  for (std::size_t i = 0; i != count; ++i) {
    const auto at = batch_.n_tokens++;
    batch_.token[at] = tokens[i];
    batch_.pos[at] = static_cast<llama_pos>(one.done + i);
    batch_.n_seq_id[at] = 1;
    batch_.seq_id[at][0] = *one.sequence;
    batch_.logits[at] = 0;
  }
  one.taken = count;
  if (count == one.left()) {
    one.output = batch_.n_tokens - 1;
    batch_.logits[*one.output] = 1;
  }
}

/// Notes who waits for the step that begins; false when nobody does.
bool generation_engine::await_step() {
  may_abort_ = reading_ >= long_reading && !std::exchange(spare_, false);
  awaited_ = 1;  // until all are counted
  for (auto& one : texts_)
    if (one.taken != 0) {
      ++awaited_;
      one.awaited = true;
      if (one.writing->item().token().cancelled())
        on_cancelled(one);
    }
  return --awaited_ != 0 && !abort_;
}

/// What llama_decode says: 0, 1 for want of room, or 2 when it was given up.
expected<int> generation_engine::compute() {
  const bool wanted = await_step();
  const auto began = steady_clock::now();
  const llama::listener complaining;
  const auto outcome = wanted ? llama_decode(context_.get(), batch_) : 2;
  for (auto& one : texts_)
    if (one.taken != 0 && !one.awaited.exchange(false) && outcome == 0)
      counts_.unwanted += one.taken;
  const bool aborted = abort_.exchange(false);
  if (outcome == 0) {
    counts_.computed += static_cast<std::uint64_t>(batch_.n_tokens);
    pace_.observe(static_cast<std::size_t>(batch_.n_tokens), steady_clock::now() - began);
    return 0;
  }
  if (outcome == 2 || (aborted && outcome < 0)) {
    ++counts_.aborted;
    spare_ = true;
    return 2;
  }
  if (outcome == 1)
    return 1;
  return make_error(status_code::internal, "llama.cpp can't compute a step" + complaining.last());
}

/// What was computed is done; what was not is taken back.
void generation_engine::settle(bool computed) {
  for (auto& one : texts_) {
    if (one.taken == 0)
      continue;
    if (computed) {
      cache_.append(*one.sequence, one.writing->tokens().subspan(one.done, one.taken));
      one.done += one.taken;
    } else {
      cache_.trim(*one.sequence);
      one.output.reset();
    }
    one.taken = 0;
  }
}

/// Forgets a text that was kept, or sends the least urgent back to its beginning; false where there is neither.
bool generation_engine::make_room() {
  if (cache_.forget_oldest())
    return true;
  const auto all = in_order();
  const auto in_memory =
      std::count_if(all.begin(), all.end(), [](const text* one) { return one->sequence.has_value(); });
  if (in_memory < 2)
    return false;
  const auto last = std::find_if(all.rbegin(), all.rend(), [](const text* one) { return one->sequence.has_value(); });
  end(**last, false);
  // It would not have the room now either that it has just been refused.
  full_ = true;
  ++counts_.preempted;
  return true;
}

void generation_engine::choose() {
  for (auto one = texts_.begin(); one != texts_.end();) {
    const auto output = std::exchange(one->output, std::nullopt);
    if (!output || advance(*one, *output)) {
      ++one;
    } else {
      end(*one, true);
      one = texts_.erase(one);
    }
  }
}

/// False when that was the end of the text. Samplers and readers of calls throw where the model leaves the form that it
/// is held to: that is the end of this text, and of no other.
bool generation_engine::advance(text& one, std::int32_t output) try {
  return one.writing->advance(*context_, output);
} catch (const std::exception& e) {
  one.writing->item().respond(make_error(status_code::internal,
                                         std::string{"the model's reply can't be read: "} + e.what(),
                                         "ask again, or for something simpler"));
  return false;
}

}  // namespace troupe
