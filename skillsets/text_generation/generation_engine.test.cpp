#include "skillsets/text_generation/generation_engine.hpp"

#include "skillsets/sdk/continuous_work.hpp"
#include "skillsets/sdk/testing.hpp"
#include "skillsets/sdk/validate.hpp"
#include "skillsets/text_generation/text_generation.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <list>
#include <map>
#include <random>
#include <thread>

namespace troupe {
namespace {

using testing_support::recorded_item;

model_settings smollm2() {
  model_settings settings;
  settings.name = "smollm2";
  settings.files["weights"] = TROUPE_MODEL_SMOLLM2 "/SmolLM2-135M-Instruct.Q4_1.gguf";
  settings.device = "CPU";
  return settings;
}

/// Loaded once for all tests of the process.
const text_model& model() {
  static const auto loaded = [] {
    text_model result;
    result.weights = *llama::load(smollm2(), {});
    result.vocabulary = llama_model_get_vocab(result.weights.get());
    result.chats = *chat_template::of(*result.weights);
    result.control_words = llama::control_words(*result.vocabulary);
    result.ends = llama::end_tokens(*result.vocabulary);
    result.context = 2048;
    return result;
  }();
  return loaded;
}

inference_request asking(std::string_view text, parameter_map parameters = {}) {
  std::string bytes;
  append_bytes(bytes, text);
  parameters.emplace("temperature", 0.0);
  parameters.emplace("max_tokens", std::int64_t{24});
  return {{tensor{"text_input", datatype::bytes, {1}, buffer::take(std::move(bytes))}}, std::move(parameters)};
}

/// What one response says.
std::string text_of(const inference_response& response) {
  return std::string{split_bytes(response.outputs.front().data.view(), 1)->front()};
}

template <class T>
T parameter_of(const inference_response& response, const char* name) {
  const auto found = response.parameters.find(name);
  return found == response.parameters.end() ? T{} : std::get<T>(found->second);
}

/// All that an item was answered.
std::string text_of(const recorded_item& item) {
  std::string text;
  for (const auto& response : item.responses)
    text += text_of(response);
  return item.last && *item.last ? text + text_of(**item.last) : text;
}

/// What the engine itself writes after a prompt that it reads in one piece, with nobody else there.
std::vector<llama_token> engines_own(const std::string& prompt, std::size_t count) {
  constexpr std::size_t chunk = 512;
  auto parameters = llama_context_default_params();
  parameters.n_ctx = 1024;
  parameters.n_batch = parameters.n_ubatch = static_cast<std::uint32_t>(chunk);
  parameters.n_threads = parameters.n_threads_batch = 1;
  parameters.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_ENABLED;
  const llama::context_ptr context{llama_init_from_model(model().weights.get(), parameters)};
  auto tokens = llama::tokenize(*model().vocabulary, prompt, true, false);
  std::vector<llama_token> chosen;
  for (std::size_t at = 0; at < tokens.size(); at += chunk)
    llama_decode(context.get(), llama_batch_get_one(tokens.data() + at,
                                                    static_cast<std::int32_t>(std::min(chunk, tokens.size() - at))));
  while (chosen.size() != count) {
    const auto* logits = llama_get_logits_ith(context.get(), -1);
    auto token =
        static_cast<llama_token>(std::max_element(logits, logits + llama_vocab_n_tokens(model().vocabulary)) - logits);
    if (llama_vocab_is_eog(model().vocabulary, token))
      break;
    chosen.push_back(token);
    llama_decode(context.get(), llama_batch_get_one(&token, 1));
  }
  return chosen;
}

std::string text_of(const std::vector<llama_token>& tokens);

/// The text of 24 tokens that the engine itself writes, which is computed once.
const std::string& engines_text(const std::string& prompt) {
  static std::map<std::string, std::string> all;
  const auto known = all.find(prompt);
  return known != all.end() ? known->second : all.emplace(prompt, text_of(engines_own(prompt, 24))).first->second;
}

std::string text_of(const std::vector<llama_token>& tokens) {
  std::string text;
  for (const auto token : tokens)
    text += llama::piece(*model().vocabulary, token, false);
  return text;
}

std::vector<std::string> prompts() {
  const std::string subjects[]{"The history of", "A short story about", "How to repair", "Five facts on",
                               "Why do people like"};
  const std::string things[]{"bread", "the moon",  "bicycles",   "old clocks", "the river Nile",
                             "music", "volcanoes", "a lost cat", "paper",      "winter"};
  std::vector<std::string> result;
  for (const auto& subject : subjects)
    for (const auto& thing : things)
      result.push_back(subject + " " + thing + (result.size() % 2 ? " begins with" : ":"));
  return result;
}

engine_settings settings(std::size_t parallel = 8) {
  engine_settings result;
  result.parallel = parallel;
  result.cache_tokens = 4096;
  return result;
}

std::unique_ptr<generation_engine> engine(const engine_settings& with) {
  auto made = generation_engine::make(model(), with);
  EXPECT_TRUE(made) << made.error().cause;
  return *std::move(made);
}

std::string alone(generation_engine& engine, inference_request request) {
  recorded_item item{std::move(request)};
  work_item* const batch[]{&item};
  const auto ran = engine.run(batch, {});
  EXPECT_TRUE(ran) << ran.error().cause;
  EXPECT_TRUE(item.last && *item.last) << (item.last ? item.last->error().cause : "no answer");
  return text_of(item);
}

error refused(inference_request request) {
  const auto with = engine(settings(1));
  recorded_item item{std::move(request)};
  const auto admitted = with->admit(item);
  EXPECT_FALSE(admitted);
  return admitted ? error{} : admitted.error();
}

TEST(generation_engine, writes_what_the_engine_writes_alone) {
  const auto ours = engine(settings());
  std::size_t same = 0;
  for (const auto& prompt : prompts())
    same += alone(*ours, asking(prompt)) == engines_text(prompt) ? 1 : 0;
  EXPECT_EQ(same, prompts().size());
}

/// Of all prompts, eight at a time in each other's company and in that of others who leave at random: how many come to
/// what the engine itself writes.
std::size_t same_in_company(const engine_settings& with, bool some_leave) {
  struct guest {
    std::string prompt;  // empty: one who leaves
    cancel_scope scope = cancel_scope{};
    std::unique_ptr<recorded_item> item = nullptr;
  };
  const auto ours = engine(with);
  continuous_work work{*ours};
  std::mt19937 random{7};
  auto waiting = prompts();
  std::list<guest> company;
  std::size_t same = 0;
  while (!waiting.empty() || !work.empty()) {
    while (work.has_room() && !waiting.empty()) {
      auto& next = company.emplace_back();
      const bool leaves = some_leave && random() % 4 == 0;
      auto request = asking(waiting.back());
      if (!leaves) {
        next.prompt = std::move(waiting.back());
        waiting.pop_back();
      }
      next.item = std::make_unique<recorded_item>(std::move(request), next.scope.token());
      work.admit(*next.item);
    }
    for (auto& each : company)
      if (each.prompt.empty() && random() % 8 == 0)
        each.scope.cancel();
    if (const auto done = work.step(); !done) {
      ADD_FAILURE() << done.error().cause;
      return 0;
    }
    std::erase_if(company, [&](const guest& each) {
      if (each.item->last && !each.prompt.empty())
        same += *each.item->last && text_of(*each.item) == engines_text(each.prompt) ? 1 : 0;
      return each.item->last.has_value();
    });
  }
  return same;
}

TEST(generation_engine, exactly_writes_the_same_in_company) {
  auto with = settings();
  with.exact = true;
  with.cache_tokens = 8 * 512;
  EXPECT_EQ(same_in_company(with, true), prompts().size());
}

/// The order of its tokens in the memory decides in which order attention sums up, and that a near tie now and then; a
/// text that fills holes which others have left has another one. Nothing else depends on the company.
TEST(generation_engine, writes_the_same_in_company_where_nobody_leaves_holes) {
  auto with = settings();
  with.chunk = 8;
  with.kept = 100;
  EXPECT_EQ(same_in_company(with, false), prompts().size());
  with.kept = 0;
  const auto among_holes = same_in_company(with, true);
  RecordProperty("same_of_50_among_holes", std::to_string(among_holes));
  std::cout << among_holes << " of 50 texts the same among holes\n";
}

TEST(generation_engine, gives_a_text_in_pieces_that_make_the_whole) {
  const auto ours = engine(settings());
  const auto whole = alone(*ours, asking("Once upon a time"));
  recorded_item item{asking("Once upon a time", {{"stream", true}})};
  work_item* const batch[]{&item};
  ASSERT_TRUE(ours->run(batch, {}));
  EXPECT_GT(item.responses.size(), 10u);
  EXPECT_EQ(text_of(item), whole);
  EXPECT_EQ(parameter_of<std::string>(**item.last, "finish_reason"), "length");
  EXPECT_EQ(parameter_of<std::int64_t>(**item.last, "completion_tokens"), 24);
  EXPECT_GT(parameter_of<std::int64_t>(**item.last, "prompt_tokens"), 2);
}

TEST(generation_engine, ends_a_chat_where_the_model_does) {
  const auto ours = engine(settings());
  recorded_item item{asking(R"([{"role":"user","content":"Name the capital of France."}])",
                            {{"prompt_format", std::string{"chat"}}, {"max_tokens", std::int64_t{60}}})};
  work_item* const batch[]{&item};
  ASSERT_TRUE(ours->run(batch, {}));
  ASSERT_TRUE(*item.last) << item.last->error().cause;
  EXPECT_EQ(text_of(item), "The capital of France is Paris.");
  EXPECT_EQ(parameter_of<std::string>(**item.last, "finish_reason"), "stop");
}

TEST(generation_engine, reads_a_beginning_that_it_knows_only_once) {
  const auto ours = engine(settings());
  std::string story;
  for (int i = 0; i != 60; ++i)
    story += "The fox went on to house number " + std::to_string(i) + ". ";
  alone(*ours, asking(story + "Then", {{"max_tokens", std::int64_t{2}}}));
  const auto before = ours->counted();
  alone(*ours, asking(story + "But", {{"max_tokens", std::int64_t{2}}}));
  EXPECT_LT(ours->counted().computed - before.computed, 20u);
  EXPECT_GT(ours->counted().reused - before.reused, 400u);
}

TEST(generation_engine, writes_the_same_after_a_beginning_that_it_knew) {
  std::string story;
  for (int i = 0; i != 30; ++i)
    story += "The fox went on to house number " + std::to_string(i) + ". ";
  for (const std::size_t chunk : {8, 128}) {
    auto with = settings();
    with.chunk = chunk;
    const auto fresh = alone(*engine(with), asking(story + "In the end"));
    const auto ours = engine(with);
    alone(*ours, asking(story + "Then", {{"max_tokens", std::int64_t{2}}}));
    EXPECT_EQ(alone(*ours, asking(story + "In the end")), fresh);
    EXPECT_GT(ours->counted().reused, 200u);
  }
}

TEST(generation_engine, reads_a_beginning_once_for_those_that_come_together) {
  const auto ours = engine(settings());
  std::string story;
  for (int i = 0; i != 40; ++i)
    story += "In the year " + std::to_string(i) + " nothing happened. ";
  std::list<recorded_item> items;
  std::vector<work_item*> batch;
  for (int i = 0; i != 8; ++i)
    batch.push_back(&items.emplace_back(asking(story, {{"max_tokens", std::int64_t{1}}})));
  ASSERT_TRUE(ours->run(batch, {}));
  const auto prompt = static_cast<std::uint64_t>(parameter_of<std::int64_t>(**items.front().last, "prompt_tokens"));
  EXPECT_LT(ours->counted().computed, prompt + 20);
}

TEST(generation_engine, sends_the_least_urgent_back_when_the_memory_is_full) {
  auto with = settings(4);
  with.cache_tokens = 512;
  const auto ours = engine(with);
  std::list<recorded_item> items;
  std::vector<work_item*> batch;
  for (int i = 0; i != 4; ++i) {
    auto request = asking("Text number " + std::to_string(i) + " is about",
                          {{"max_tokens", std::int64_t{200}}, {"ignore_eos", true}});
    request.priority = i == 0 ? 3 : 1;
    batch.push_back(&items.emplace_back(std::move(request)));
  }
  ASSERT_TRUE(ours->run(batch, {}));
  EXPECT_GT(ours->counted().preempted, 0u);
  for (const auto& item : items) {
    ASSERT_TRUE(*item.last) << item.last->error().cause;
    EXPECT_EQ(parameter_of<std::int64_t>(**item.last, "completion_tokens"), 200);
  }
}

TEST(generation_engine, computes_nothing_more_for_those_who_left) {
  const auto ours = engine(settings());
  continuous_work work{*ours};
  cancel_scope scope;
  recorded_item leaving{asking("A long story:", {{"max_tokens", std::int64_t{1000}}, {"ignore_eos", true}}),
                        scope.token()};
  recorded_item staying{asking("Another story:", {{"max_tokens", std::int64_t{30}}, {"ignore_eos", true}})};
  work.admit(leaving);
  work.admit(staying);
  for (int i = 0; i != 10; ++i)
    ASSERT_TRUE(work.step());
  const auto before = ours->counted().computed;
  scope.cancel();
  while (!staying.last)
    ASSERT_TRUE(work.step());
  EXPECT_EQ(ours->counted().unwanted, 0u);
  EXPECT_LE(ours->counted().computed - before, 30u);
  EXPECT_TRUE(*staying.last);
}

TEST(generation_engine, measures_what_it_does) {
  const auto ours = engine(settings());
  const auto measured = [&] {
    const auto specs = generation_engine::metrics();
    std::vector<double> values(specs.size(), -1);
    ours->measure(values);
    std::map<std::string, double> named;
    for (std::size_t i = 0; i != specs.size(); ++i)
      named[specs[i].name] = values[i];
    return named;
  };
  EXPECT_TRUE(validate_metrics(generation_engine::metrics()));
  for (const auto& [name, value] : measured())
    EXPECT_EQ(value, name == "cache_tokens" ? static_cast<double>(settings().cache_tokens) : 0) << name;
  continuous_work work{*ours};
  cancel_scope scope;
  recorded_item leaving{asking("A long story:", {{"max_tokens", std::int64_t{1000}}, {"ignore_eos", true}}),
                        scope.token()};
  recorded_item staying{asking("Another story:", {{"max_tokens", std::int64_t{20}}, {"ignore_eos", true}})};
  work.admit(leaving);
  work.admit(staying);
  for (int i = 0; i != 10; ++i)
    ASSERT_TRUE(work.step());
  auto now = measured();
  EXPECT_EQ(now["running_texts"], 2);
  EXPECT_GT(now["prompt_tokens"], 4);
  EXPECT_GT(now["generated_tokens"], 10);
  EXPECT_NEAR(now["computed_tokens"], now["cache_used_tokens"], 1) << "both texts may begin with the same token";
  ours->on_step = [&] { scope.cancel(); };
  ASSERT_TRUE(work.step());
  EXPECT_EQ(measured()["discarded_tokens"], 1) << "that of the step in which it left";
  const auto generated = measured()["generated_tokens"];
  const auto left = 20 - static_cast<double>(staying.responses.size());
  while (!work.empty())
    ASSERT_TRUE(work.step());
  now = measured();
  EXPECT_EQ(now["discarded_tokens"], 1);
  EXPECT_LE(now["generated_tokens"] - generated, left);
  EXPECT_EQ(now["running_texts"], 0);
}

TEST(generation_engine, leaves_a_prompt_in_the_middle_of_a_step) {
  auto with = settings();
  with.chunk = 2000;
  with.cache_tokens = 8192;
  const auto ours = engine(with);
  continuous_work work{*ours};
  std::string story;
  while (story.size() < 7000)
    story += "and then the fox went home ";
  cancel_scope scope;
  recorded_item item{asking(story), scope.token()};
  work.admit(item);
  std::jthread canceller;
  ours->on_step = [&] {
    canceller = std::jthread{[&] {
      std::this_thread::sleep_for(std::chrono::milliseconds{50});
      scope.cancel();
    }};
  };
  ASSERT_TRUE(work.step());
  EXPECT_EQ(ours->counted().aborted, 1u);
  EXPECT_EQ(ours->counted().computed, 0u);
  ASSERT_TRUE(work.step());
  EXPECT_TRUE(work.empty());
  EXPECT_EQ(item.last->error().code, status_code::cancelled);
  ours->on_step = [] {};
  EXPECT_EQ(alone(*ours, asking(prompts().front())), engines_text(prompts().front())) << "it goes on as before";
}

TEST(generation_engine, goes_on_after_the_prompt_of_another_was_left) {
  auto with = settings();
  with.chunk = 512;
  with.step = std::chrono::seconds{10};
  const auto ours = engine(with);
  const auto prompt = prompts()[3];
  continuous_work work{*ours};
  recorded_item staying{asking(prompt)};
  work.admit(staying);
  for (int i = 0; i != 5; ++i)
    ASSERT_TRUE(work.step());
  std::string story;
  while (story.size() < 2500)
    story += "and then the fox went home ";
  cancel_scope scope;
  recorded_item leaving{asking(story), scope.token()};
  work.admit(leaving);
  std::jthread canceller;
  ours->on_step = [&] {
    if (!canceller.joinable())
      canceller = std::jthread{[&] {
        std::this_thread::sleep_for(std::chrono::milliseconds{30});
        scope.cancel();
      }};
  };
  while (!staying.last)
    ASSERT_TRUE(work.step());
  EXPECT_EQ(leaving.last->error().code, status_code::cancelled);
  EXPECT_EQ(text_of(staying), engines_text(prompt));
}

TEST(generation_engine, ends_before_a_stop_string) {
  const auto ours = engine(settings());
  const auto whole = alone(*ours, asking("Count: one, two, three,"));
  const auto cut = whole.substr(6, 5);
  recorded_item item{asking("Count: one, two, three,", {{"stop", json::array({cut}).dump()}, {"stream", true}})};
  work_item* const batch[]{&item};
  ASSERT_TRUE(ours->run(batch, {}));
  EXPECT_EQ(text_of(item), whole.substr(0, whole.find(cut)));
  EXPECT_EQ(parameter_of<std::string>(**item.last, "finish_reason"), "stop");
}

TEST(generation_engine, tells_log_probabilities) {
  const auto ours = engine(settings());
  recorded_item item{
      asking("The sun", {{"logprobs", std::int64_t{3}}, {"max_tokens", std::int64_t{5}}, {"stream", true}})};
  work_item* const batch[]{&item};
  ASSERT_TRUE(ours->run(batch, {}));
  std::string text;
  std::size_t count = 0;
  auto responses = item.responses;
  responses.push_back(**item.last);
  for (const auto& response : responses)
    for (const auto& each : json::parse(parameter_of<std::string>(response, "logprobs").empty()
                                            ? "[]"
                                            : parameter_of<std::string>(response, "logprobs"))) {
      text += each["token"].get<std::string>();
      ++count;
      EXPECT_EQ(each["top_logprobs"].size(), 3u);
      EXPECT_EQ(each["top_logprobs"][0]["id"], each["id"]) << "the likeliest was chosen";
      EXPECT_LE(each["logprob"].get<double>(), 0);
      EXPECT_GE(each["logprob"].get<double>(), each["top_logprobs"][1]["logprob"].get<double>());
    }
  EXPECT_EQ(text, text_of(item));
  EXPECT_EQ(count, 5u);
}

TEST(generation_engine, draws_the_same_by_the_same_seed) {
  const auto ours = engine(settings());
  const auto with = [](std::int64_t seed) {
    return asking("My favourite animal is", {{"temperature", 1.0}, {"seed", seed}, {"top_p", 0.95}});
  };
  const auto first = alone(*ours, with(1));
  EXPECT_EQ(alone(*ours, with(1)), first);
  EXPECT_NE(alone(*ours, with(2)), first);
}

TEST(generation_engine, keeps_biases_and_penalties) {
  const auto ours = engine(settings());
  const auto plain = engines_own("The sun", 1).front();
  const json bias{{std::to_string(plain), -100}};
  EXPECT_NE(alone(*ours, asking("The sun", {{"logit_bias", bias.dump()}, {"max_tokens", std::int64_t{1}}})),
            text_of(std::vector{plain}));
  const auto loop = "a b a b a b a b a b a b";
  EXPECT_NE(alone(*ours, asking(loop, {{"frequency_penalty", 2.0}})), alone(*ours, asking(loop)));
}

TEST(generation_engine, goes_on_where_the_model_would_end) {
  const auto ours = engine(settings());
  const auto chat = R"([{"role":"user","content":"Name the capital of France."}])";
  for (const double temperature : {0.0, 1.0}) {
    recorded_item item{asking(chat, {{"prompt_format", std::string{"chat"}},
                                     {"ignore_eos", true},
                                     {"temperature", temperature},
                                     {"max_tokens", std::int64_t{40}}})};
    work_item* const batch[]{&item};
    ASSERT_TRUE(ours->run(batch, {}));
    EXPECT_EQ(parameter_of<std::int64_t>(**item.last, "completion_tokens"), 40);
  }
}

TEST(generation_engine, writes_json_under_a_schema) {
  const auto ours = engine(settings());
  const auto schema =
      R"({"type":"object","properties":{"name":{"type":"string","maxLength":12},"age":{"type":"integer","minimum":1,
      "maximum":99},"kind":{"enum":["cat","dog"]}},"required":["name","age","kind"],"additionalProperties":false})";
  const auto text = alone(
      *ours, asking(R"([{"role":"user","content":"Describe a pet as JSON."}])", {{"prompt_format", std::string{"chat"}},
                                                                                 {"json_schema", std::string{schema}},
                                                                                 {"max_tokens", std::int64_t{120}},
                                                                                 {"temperature", 1.0},
                                                                                 {"seed", std::int64_t{5}}}));
  const auto pet = json::parse(text, nullptr, false);
  ASSERT_TRUE(pet.is_object()) << text;
  EXPECT_TRUE(pet["age"].is_number_integer());
  EXPECT_TRUE(pet["kind"] == "cat" || pet["kind"] == "dog");
}

TEST(generation_engine, calls_the_tool_that_it_has_to) {
  const auto ours = engine(settings());
  recorded_item item{asking(
      R"([{"role":"user","content":"What is the weather in Paris?"}])",
      {{"prompt_format", std::string{"chat"}},
       {"stream", true},
       {"max_tokens", std::int64_t{100}},
       {"tool_choice", std::string{"required"}},
       {"parallel_tool_calls", false},
       {"tools", std::string{R"([{"type":"function","function":{"name":"get_weather","description":"Weather of a city",
           "parameters":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"],"additionalProperties":false},"strict":true}}])"}}})};
  work_item* const batch[]{&item};
  ASSERT_TRUE(ours->run(batch, {}));
  ASSERT_TRUE(*item.last) << item.last->error().cause;
  EXPECT_EQ(parameter_of<std::string>(**item.last, "finish_reason"), "tool_calls");
  EXPECT_EQ(text_of(item), "");
  std::string name, arguments;
  auto responses = item.responses;
  responses.push_back(**item.last);
  for (const auto& response : responses)
    if (const auto calls = parameter_of<std::string>(response, "tool_calls"); !calls.empty())
      for (const auto& call : json::parse(calls)) {
        EXPECT_EQ(call["index"], 0);
        name += call["function"].value("name", "");
        arguments += call["function"]["arguments"].get<std::string>();
      }
  EXPECT_EQ(name, "get_weather");
  EXPECT_TRUE(json::parse(arguments)["city"].is_string()) << arguments;
  EXPECT_GT(responses.size(), 3u) << "piece by piece";
}

TEST(generation_engine, counts_without_computing) {
  const auto ours = engine(settings());
  recorded_item item{asking("one two three", {{"max_tokens", std::int64_t{0}}})};
  continuous_work work{*ours};
  work.admit(item);
  ASSERT_TRUE(item.last && *item.last);
  EXPECT_EQ(parameter_of<std::int64_t>(**item.last, "prompt_tokens"), 3);
  EXPECT_EQ(ours->counted().computed, 0u);
}

TEST(generation_engine, refuses_prompts_beyond_the_context) {
  std::string words;
  while (words.size() < 20'000)
    words += "word ";
  EXPECT_EQ(refused(asking(words)).code, status_code::out_of_range);
  EXPECT_EQ(refused(asking(std::string(10 << 20, 'x'))).code, status_code::out_of_range);
  std::string controls;
  while (controls.size() < 30'000)
    controls += "<|im_start|>";
  const json chat = json::array({{{"role", "user"}, {"content", controls}}});
  EXPECT_EQ(refused(asking(chat.dump(), {{"prompt_format", std::string{"chat"}}})).code, status_code::out_of_range);
}

TEST(generation_engine, ends_with_length_where_the_context_ends) {
  std::string words;
  while (words.size() < 10'100)
    words += "word ";
  const auto ours = engine(settings(1));
  recorded_item item{asking(words, {{"max_tokens", std::int64_t{5000}}, {"ignore_eos", true}})};
  work_item* const batch[]{&item};
  ASSERT_TRUE(ours->run(batch, {}));
  ASSERT_TRUE(*item.last) << item.last->error().cause;
  EXPECT_EQ(parameter_of<std::string>(**item.last, "finish_reason"), "length");
  EXPECT_EQ(parameter_of<std::int64_t>(**item.last, "completion_tokens") +
                parameter_of<std::int64_t>(**item.last, "prompt_tokens"),
            2048);
}

TEST(generation_engine, refuses_what_it_can_not_keep) {
  const auto chat = [](const std::string& messages, parameter_map parameters = {}) {
    parameters.emplace("prompt_format", std::string{"chat"});
    return asking(messages, std::move(parameters));
  };
  const std::pair<inference_request, const char*> wrong[]{
      {asking(""), "empty"},
      {asking("a\xFF"), "not UTF-8"},
      {asking("[1,-2]", {{"prompt_format", std::string{"tokens"}}}), "where an id"},
      {asking("[99999999]", {{"prompt_format", std::string{"tokens"}}}), "where an id"},
      {asking("{}", {{"prompt_format", std::string{"tokens"}}}), "no JSON array"},
      {chat("[]"), "no list of messages"},
      {chat("x"), "not valid JSON"},
      {chat(R"([{"role":"robot","content":"x"}])"), "messages[0].role"},
      {chat(R"([{"role":"user"}])"), "messages[0] has no content"},
      {chat(R"([{"role":"user","content":[{"type":"image_url"}]}])"), "messages[0].content[0]"},
      {chat(R"([{"role":"user","content":5}])"), "messages[0].content"},
      {chat(R"([{"role":"user","content":"x"}])",
            {{"json_schema", std::string{R"({"type":"number","multipleOf":3})"}}}),
       "#/multipleOf"},
      {chat(R"([{"role":"user","content":"x"}])", {{"grammar", std::string{"root ::= ("}}}), "parameter 'grammar'"},
      {chat(R"([{"role":"user","content":"x"}])", {{"tools", std::string{R"([{"type":"function"}])"}}}),
       "'tools' at [0]"},
      {chat(R"([{"role":"user","content":"x"}])",
            {{"tools", std::string{R"([{"type":"function","function":{"name":"f"}}])"}},
             {"tool_choice", std::string{R"({"type":"function","function":{"name":"g"}})"}}}),
       "'tool_choice' names 'g'"},
      {asking("x", {{"logit_bias", std::string{R"({"9999999":1})"}}}), "'logit_bias' names token"},
  };
  for (const auto& [request, why] : wrong) {
    const auto error = refused(request);
    EXPECT_EQ(error.code, status_code::invalid_argument) << why << ": " << error.cause;
    EXPECT_NE(error.cause.find(why), std::string::npos) << why << ": " << error.cause;
  }
}

}  // namespace
}  // namespace troupe
