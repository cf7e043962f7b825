#include "skillsets/text_embedding/text_embedding.hpp"

#include "skillsets/text_embedding/test_model.hpp"

#include "skillsets/sdk/plugin.hpp"
#include "skillsets/sdk/testing.hpp"

#include <dlfcn.h>
#include <gmock/gmock.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

namespace troupe {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

std::string words(int count) {
  std::string text;
  for (int i = 0; i != count; ++i)
    text += "word" + std::to_string(i % 10) + " ";
  return text;
}

struct text_embedding : testing::Test {
  static void SetUpTestSuite() {
    auto loaded = make_text_embedding_skillset()->load(minilm_settings(), {});
    ASSERT_TRUE(loaded) << to_string(loaded.error());
    model = *std::move(loaded);
  }
  static void TearDownTestSuite() { model.reset(); }

  expected<inference_response> run(const std::vector<std::string>& texts, const cancel_token& token = {}) {
    return testing_support::respond(*worker, request_of(texts), token);
  }

  /// A model that runs many texts in one piece.
  static expected<std::unique_ptr<loaded_model>> load_for_large_batches() {
    auto settings = minilm_settings();
    settings.options["batch_tokens"] = std::int64_t{100'000};
    return make_text_embedding_skillset()->load(settings, {});
  }

  /// What loading says after `change` was made to good settings.
  static error load_error(const std::function<void(model_settings&)>& change) {
    auto settings = minilm_settings();
    change(settings);
    const auto loaded = make_text_embedding_skillset()->load(settings, {});
    EXPECT_FALSE(loaded);
    return loaded ? error{} : loaded.error();
  }

  static inline std::unique_ptr<loaded_model> model;
  std::unique_ptr<instance> worker = *model->make_instance();
  const std::vector<std::string> sample{"one text", words(100), "", "another"};
  /// Work for minutes.
  const std::vector<std::string> too_much = std::vector<std::string>(2000, words(200));
};

TEST_F(text_embedding, describes_itself) {
  const auto& signature = model->describe();
  ASSERT_EQ(signature.inputs.size(), 1u);
  EXPECT_EQ(signature.inputs.front().name, "text");
  EXPECT_EQ(signature.inputs.front().type, datatype::bytes);
  EXPECT_EQ(signature.inputs.front().shape, (std::vector<std::int64_t>{-1}));
  ASSERT_EQ(signature.outputs.size(), 1u);
  EXPECT_EQ(signature.outputs.front().name, "embedding");
  EXPECT_EQ(signature.outputs.front().shape, (std::vector<std::int64_t>{-1, 384}));
  EXPECT_TRUE(signature.batches);
}

TEST_F(text_embedding, answers_its_own_warm_up) {
  const auto response = testing_support::respond(*worker, model->warm_up(), {});
  ASSERT_TRUE(response) << to_string(response.error());
  EXPECT_EQ(response->outputs.front().shape, (std::vector<std::int64_t>{2, 384}));
}

TEST_F(text_embedding, no_texts_are_no_vectors) {
  const auto response = run({});
  ASSERT_TRUE(response);
  EXPECT_EQ(response->outputs.front().shape, (std::vector<std::int64_t>{0, 384}));
  EXPECT_EQ(response->outputs.front().data.size(), 0u);
  EXPECT_EQ(truncated_of(*response), 0);
}

TEST_F(text_embedding, vectors_have_length_1) {
  const auto numbers = numbers_of(run(sample));
  for (std::size_t i = 0; i != sample.size(); ++i) {
    double sum = 0;
    for (std::size_t j = 0; j != 384; ++j)
      sum += numbers[i * 384 + j] * numbers[i * 384 + j];
    EXPECT_NEAR(sum, 1, 1e-5);
  }
}

TEST_F(text_embedding, counts_the_texts_that_were_cut) {
  EXPECT_EQ(truncated_of(*run({"a", words(300), "b", words(400)})), 2);
}

TEST_F(text_embedding, counts_tokens_with_the_special_ones) {
  const auto tokens_of = [](const inference_response& response) {
    return std::get<std::int64_t>(response.parameters.at("prompt_tokens"));
  };
  EXPECT_EQ(tokens_of(*run({})), 0);
  EXPECT_EQ(tokens_of(*run({"hello", ""})), 5);
  EXPECT_EQ(tokens_of(*run({words(400)})), 256) << "what was cut off doesn't count";
}

TEST_F(text_embedding, takes_tokens_as_they_are) {
  auto request = request_of(std::vector<std::string>{"[101,7592,102]", "[101, 2088, 102]"});
  request.parameters.emplace("prompt_format", std::string{"tokens"});
  const auto response = testing_support::respond(*worker, request);
  ASSERT_TRUE(response) << to_string(response.error());
  EXPECT_EQ(std::get<std::int64_t>(response->parameters.at("prompt_tokens")), 6);
  EXPECT_LT(largest_difference(numbers_of(*response), numbers_of(run({"hello", "world"}))), 1e-6);
}

TEST_F(text_embedding, cuts_tokens_as_it_cuts_texts) {
  std::string ids = "[101";
  for (int i = 0; i != 300; ++i)
    ids += ",7592";
  auto request = request_of(std::vector<std::string>{ids + "]", "[7592]"});
  request.parameters.emplace("prompt_format", std::string{"tokens"});
  const auto response = testing_support::respond(*worker, request);
  ASSERT_TRUE(response) << to_string(response.error());
  EXPECT_EQ(truncated_of(*response), 1);
  EXPECT_EQ(std::get<std::int64_t>(response->parameters.at("prompt_tokens")), 257);
}

TEST_F(text_embedding, refuses_tokens_that_the_model_has_not) {
  const auto refusal = [&](const std::string& text, const std::string& format = "tokens") {
    auto request = request_of(std::vector<std::string>{"[7592]", text});
    request.parameters.emplace("prompt_format", format);
    const auto response = testing_support::respond(*worker, request);
    EXPECT_FALSE(response) << text;
    return response ? "" : response.error().cause;
  };
  EXPECT_EQ(refusal("[101,30522,102]"), "text 1 has the token id 30522 at 1");
  EXPECT_EQ(refusal("[-1]"), "text 1 has the token id -1 at 0");
  EXPECT_EQ(refusal("[1.5]"), "text 1 has the token id 1.5 at 0");
  EXPECT_EQ(refusal("[18446744073709551615]"), "text 1 has the token id 18446744073709551615 at 0");
  EXPECT_EQ(refusal("[\"hello\"]"), "text 1 has the token id \"hello\" at 0");
  EXPECT_EQ(refusal("[]"), "text 1 has no tokens for this model");
  EXPECT_EQ(refusal("hello"), "text 1 is no JSON array of token ids");
  EXPECT_EQ(refusal("{}"), "text 1 is no JSON array of token ids");
  EXPECT_EQ(refusal("[7592]", "chat"), "parameter 'prompt_format' is neither 'text' nor 'tokens'");
  EXPECT_TRUE(run(sample)) << "and nothing else is harmed";
}

TEST_F(text_embedding, takes_a_megabyte) {
  for (const auto& text : {words(180'000), std::string(1'000'000, 'x'), std::string(1'000'000, '.')}) {
    ASSERT_GE(text.size(), 1'000'000u);
    const auto start = steady_clock::now();
    const auto response = run({text, "short"});
    ASSERT_TRUE(response) << to_string(response.error());
    RecordProperty("ms", static_cast<int>((steady_clock::now() - start) / 1ms));
    EXPECT_EQ(truncated_of(*response), text.front() == 'x' ? 0 : 1);  // one long word is one unknown token
  }
}

TEST_F(text_embedding, names_the_text_that_is_not_utf_8) {
  const auto response = run({"good",
                             "b\xc3\xa4"
                             "d\xff",
                             "\xff"});
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, status_code::invalid_argument);
  EXPECT_THAT(response.error().cause, HasSubstr("text 1 "));
  EXPECT_THAT(response.error().cause, HasSubstr("byte 4"));
  EXPECT_TRUE(run(sample));
}

TEST_F(text_embedding, requests_that_run_together_have_the_vectors_that_they_have_alone) {
  const std::vector<std::vector<std::string>> asked{
      {sample[0]}, {words(100), "short"}, {"not \xff UTF-8"}, {}, {sample[0], words(3), words(90)}};
  std::vector<testing_support::recorded_item> items;
  for (const auto& texts : asked)
    items.emplace_back(request_of(texts));
  std::vector<work_item*> batch;
  for (auto& item : items)
    batch.push_back(&item);
  ASSERT_TRUE(worker->run(batch, {}));
  for (std::size_t i = 0; i != asked.size(); ++i) {
    ASSERT_TRUE(items[i].last);
    if (i == 2)
      EXPECT_EQ(items[i].last->error().code, status_code::invalid_argument) << "and its neighbours are answered";
    else
      EXPECT_LE(largest_difference(numbers_of(*items[i].last), numbers_of(run(asked[i]))), 1e-5F) << i;
  }
}

TEST_F(text_embedding, what_was_cancelled_is_left_out_of_the_batch) {
  cancel_scope gone;
  gone.cancel();
  testing_support::recorded_item cancelled{request_of(sample), gone.token()}, wanted{request_of(sample)};
  work_item* const batch[] = {&cancelled, &wanted};
  ASSERT_TRUE(worker->run(batch, {}));
  ASSERT_TRUE(cancelled.last);
  EXPECT_EQ(cancelled.last->error().code, status_code::cancelled);
  EXPECT_EQ(numbers_of(*wanted.last), numbers_of(run(sample)));
}

TEST_F(text_embedding, tells_what_a_request_costs_from_its_bytes) {
  const auto policy = model->batching();
  EXPECT_GT(policy.limits.items, 1);
  EXPECT_EQ(policy.cost(request_of(std::vector<std::string>{})), (work_cost{0, 1}));
  EXPECT_EQ(policy.cost(request_of(std::vector<std::string>{std::string(40, 'a')})), (work_cost{1, 12}));
  EXPECT_EQ(policy.cost(request_of(std::vector<std::string>{words(100'000), "b"})), (work_cost{2, 256}));
}

TEST_F(text_embedding, refuses_contents_that_are_cut_short) {
  const auto response = testing_support::respond(
      *worker, {{tensor{"text", datatype::bytes, {1}, buffer::take(std::string("\x09\0\0\0abc", 7))}}, {}}, {});
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, status_code::invalid_argument);
}

TEST_F(text_embedding, a_cancelled_run_ends_with_the_reason_and_leaves_the_instance_usable) {
  const auto before = numbers_of(run(sample));
  for (const auto delay : {0ms, 1ms, 250ms, 500ms, 750ms, 1500ms}) {
    cancel_scope scope;
    steady_clock::time_point cancelled_at;
    std::jthread canceller{[&] {
      std::this_thread::sleep_for(delay);
      cancelled_at = steady_clock::now();
      scope.cancel(make_error(status_code::unavailable, "shutting down"));
    }};
    const auto response = run(too_much, scope.token());
    const auto ended_at = steady_clock::now();
    canceller.join();
    ASSERT_FALSE(response);
    EXPECT_EQ(response.error(), scope.token().reason());
    EXPECT_EQ(response.error().cause, "shutting down");
    EXPECT_LT(ended_at - cancelled_at, 1s);
    EXPECT_EQ(numbers_of(run(sample)), before);
  }
}

TEST_F(text_embedding, a_run_ends_at_the_deadline) {
  const auto before = numbers_of(run(sample));
  for (const auto time : {0ms, 20ms, 500ms, 750ms, 1500ms}) {
    const auto deadline = steady_clock::now() + time;
    const cancel_scope scope{deadline};
    const auto response = run(too_much, scope.token());
    ASSERT_FALSE(response);
    EXPECT_EQ(response.error().code, status_code::deadline_exceeded);
    EXPECT_GE(steady_clock::now(), deadline);
    EXPECT_LT(steady_clock::now() - deadline, 1s);
    EXPECT_EQ(numbers_of(run(sample)), before);
  }
}

TEST_F(text_embedding, one_long_inference_is_stopped_half_way) {
  const auto loaded = load_for_large_batches();
  ASSERT_TRUE(loaded) << to_string(loaded.error());
  const auto mine = *(*loaded)->make_instance();
  const auto request = request_of(std::span{too_much}.first(150));  // takes seconds, in one piece
  const auto before = numbers_of(testing_support::respond(*mine, request_of(sample), {}));
  for (const bool by_deadline : {false, true}) {
    const auto end = steady_clock::now() + 500ms;
    cancel_scope scope{by_deadline ? end : no_deadline};
    std::jthread canceller{[&] {
      std::this_thread::sleep_until(end);
      if (!by_deadline)
        scope.cancel(make_error(status_code::cancelled, "the client went away"));
    }};
    const auto response = testing_support::respond(*mine, request, scope.token());
    const auto late = steady_clock::now() - end;
    ASSERT_FALSE(response);
    EXPECT_EQ(response.error().code, by_deadline ? status_code::deadline_exceeded : status_code::cancelled);
    EXPECT_LT(late, 1s);
    std::cout << "ended after " << late / 1us << " us\n";
    EXPECT_EQ(numbers_of(testing_support::respond(*mine, request_of(sample), {})), before);
  }
}

TEST_F(text_embedding, what_was_stopped_at_any_point_leaves_nothing_behind) {
  const auto loaded = load_for_large_batches();
  ASSERT_TRUE(loaded) << to_string(loaded.error());
  const auto mine = *(*loaded)->make_instance();
  const std::vector<std::string> one{"The actors take a bow."};
  const auto before = numbers_of(testing_support::respond(*mine, request_of(one), {}));
  const auto request = request_of(std::span{too_much}.first(20));
  // The shape that ran last before the stop is the one that runs next, each time.
  for (auto time = 2ms; time < 120ms; time += 3ms) {
    const cancel_scope scope{steady_clock::now() + time};
    static_cast<void>(testing_support::respond(*mine, request, scope.token()));
    ASSERT_EQ(numbers_of(testing_support::respond(*mine, request_of(one), {})), before)
        << "stopped after " << time.count() << " ms";
  }
}

TEST_F(text_embedding, stops_in_a_row_leave_nothing_behind) {
  const auto loaded = load_for_large_batches();
  ASSERT_TRUE(loaded) << to_string(loaded.error());
  const auto mine = *(*loaded)->make_instance();
  const std::vector<std::string> one{"The actors take a bow."};
  const auto before = numbers_of(testing_support::respond(*mine, request_of(one), {}));
  const auto request = request_of(std::span{too_much}.first(20));
  // What brings the graph into line after the first stop is itself what ran last before the second.
  for (auto time = 10ms; time < 130ms; time += 10ms) {
    for (int stop = 0; stop != 3; ++stop) {
      const cancel_scope scope{steady_clock::now() + time};
      static_cast<void>(testing_support::respond(*mine, request, scope.token()));
    }
    ASSERT_EQ(numbers_of(testing_support::respond(*mine, request_of(one), {})), before)
        << "stopped after " << time.count() << " ms";
  }
}

TEST_F(text_embedding, stops_and_runs_of_any_shapes_in_any_order_leave_nothing_behind) {
  const auto loaded = load_for_large_batches();
  ASSERT_TRUE(loaded) << to_string(loaded.error());
  const auto mine = *(*loaded)->make_instance();
  const std::vector<std::vector<std::string>> quick{
      {words(3)}, {words(9)}, {words(3), words(3)}, std::vector(6, words(2)), std::vector(2, words(9))};
  const std::vector<std::vector<std::string>> slow{std::vector(20, words(100)), std::vector(6, words(90)),
                                                   std::vector(9, words(60)), std::vector(12, words(9))};
  std::vector<std::vector<float>> right;
  for (const auto& texts : quick)
    right.push_back(numbers_of(testing_support::respond(*mine, request_of(texts), {})));
  std::mt19937 random{7};
  for (int i = 0; i != 300; ++i) {
    if (random() % 5 < 3) {
      const cancel_scope scope{steady_clock::now() + std::chrono::milliseconds{1 + random() % 40}};
      static_cast<void>(testing_support::respond(*mine, request_of(slow[random() % slow.size()]), scope.token()));
    } else {
      const auto which = random() % quick.size();
      ASSERT_EQ(numbers_of(testing_support::respond(*mine, request_of(quick[which]), {})), right[which]) << i;
    }
  }
}

TEST_F(text_embedding, a_far_deadline_changes_nothing) {
  const cancel_scope scope{steady_clock::now() + 240h};
  EXPECT_EQ(numbers_of(run(sample, scope.token())), numbers_of(run(sample)));
}

TEST_F(text_embedding, instances_do_not_disturb_each_other) {
  const std::vector<std::string> other{words(30), "something else", words(7)};
  const auto sample_numbers = numbers_of(run(sample));
  const auto other_numbers = numbers_of(run(other));
  const auto repeat = [](const std::vector<std::string>& texts, const std::vector<float>& numbers) {
    const auto mine = *model->make_instance();
    for (int i = 0; i != 10; ++i)
      ASSERT_EQ(numbers_of(testing_support::respond(*mine, request_of(texts), {})), numbers);
  };
  std::jthread first{repeat, sample, sample_numbers};
  std::jthread second{repeat, other, other_numbers};
}

TEST_F(text_embedding, a_cancelled_load_ends) {
  cancel_scope scope;
  scope.cancel(make_error(status_code::cancelled, "unloaded"));
  const auto loaded = make_text_embedding_skillset()->load(minilm_settings(), scope.token());
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code, status_code::cancelled);
}

TEST_F(text_embedding, names_the_role_that_is_missing) {
  for (const auto* role : {"weights", "config", "tokenizer"}) {
    const auto e = load_error([&](auto& settings) { settings.files.erase(role); });
    EXPECT_EQ(e.code, status_code::not_found);
    EXPECT_THAT(e.cause, HasSubstr("'" + std::string{role} + "'"));
    EXPECT_FALSE(e.remedy.empty());
  }
}

TEST_F(text_embedding, names_the_file_that_is_missing_or_corrupt) {
  const test_folder folder;
  const auto truncated = folder.path / "truncated";
  std::ifstream original{minilm / "model.safetensors", std::ios::binary};
  std::string start(1'000'000, '\0');
  original.read(start.data(), static_cast<std::streamsize>(start.size()));
  std::ofstream{truncated, std::ios::binary} << start;
  std::ofstream{folder.path / "garbage"} << "garbage";
  for (const auto* role : {"weights", "config", "tokenizer"})
    for (const auto& path : {folder.path / "garbage", truncated}) {
      const auto e = load_error([&](auto& settings) { settings.files[role] = path; });
      EXPECT_EQ(e.code, status_code::invalid_argument) << role;
      EXPECT_THAT(e.cause, HasSubstr(path.string()));
    }
}

TEST_F(text_embedding, refuses_files_that_do_not_belong_together) {
  const test_folder folder;
  std::ifstream file{minilm / "config.json"};
  auto config = nlohmann::json::parse(file);
  config["num_attention_heads"] = 13;
  std::ofstream{folder.path / "heads.json"} << config;
  auto e = load_error([&](auto& settings) { settings.files["config"] = folder.path / "heads.json"; });
  EXPECT_EQ(e.code, status_code::invalid_argument);
  config["num_attention_heads"] = 12;
  config["num_hidden_layers"] = 7;
  std::ofstream{folder.path / "layers.json"} << config;
  e = load_error([&](auto& settings) { settings.files["config"] = folder.path / "layers.json"; });
  EXPECT_THAT(e.cause, HasSubstr("encoder.layer.6."));
  EXPECT_THAT(e.cause, HasSubstr("model.safetensors"));
  std::ifstream tokens{minilm / "tokenizer.json"};
  auto tokenizer = nlohmann::json::parse(tokens);
  tokenizer["model"]["vocab"]["a_word_more"] = 30522;
  std::ofstream{folder.path / "tokenizer.json"} << tokenizer;
  e = load_error([&](auto& settings) { settings.files["tokenizer"] = folder.path / "tokenizer.json"; });
  EXPECT_EQ(e.code, status_code::invalid_argument);
  EXPECT_THAT(e.cause, HasSubstr("30522"));
}

TEST_F(text_embedding, refuses_more_tokens_than_the_model_has_positions) {
  const auto e = load_error([](auto& settings) { settings.options["max_tokens"] = std::int64_t{513}; });
  EXPECT_EQ(e.code, status_code::invalid_argument);
  EXPECT_THAT(e.cause, HasSubstr("512"));
}

TEST_F(text_embedding, takes_the_longest_text_from_the_models_files) {
  auto settings = minilm_settings();
  settings.options["max_tokens"] = std::int64_t{0};
  const std::vector<std::string> texts{words(150), words(100)};  // two tokens a word
  const auto truncated = [&] {
    const auto loaded = make_text_embedding_skillset()->load(settings, {});
    return truncated_of(*testing_support::respond(**(*loaded)->make_instance(), request_of(texts), {}));
  };
  EXPECT_EQ(truncated(), 0);
  settings.files["sentence_config"] = minilm / "sentence_bert_config.json";
  EXPECT_EQ(truncated(), 1);
}

TEST_F(text_embedding, says_which_devices_there_are) {
  const auto e = load_error([](auto& settings) { settings.device = "GPU.9"; });
  EXPECT_EQ(e.code, status_code::unavailable);
  EXPECT_THAT(e.message(), HasSubstr("CPU"));
}

TEST(text_embedding_plugin, is_what_the_shared_object_exports) {
  const auto skills = open_plugin(TROUPE_TEXT_EMBEDDING);
  ASSERT_TRUE(skills) << to_string(skills.error());
  EXPECT_EQ((*skills)->name(), "text_embedding");
  EXPECT_EQ((*skills)->platform(), "openvino");
  const auto again = open_plugin(TROUPE_TEXT_EMBEDDING);
  EXPECT_TRUE(again && *again == *skills);
  EXPECT_EQ(::dlsym(::dlopen(TROUPE_TEXT_EMBEDDING, RTLD_NOW | RTLD_NOLOAD), "troupe_tokenizer_load"), nullptr);
  const auto loaded = (*skills)->load(minilm_settings(), {});
  ASSERT_TRUE(loaded) << to_string(loaded.error());
  EXPECT_TRUE(testing_support::respond(**(*loaded)->make_instance(), (*loaded)->warm_up(), {}));
}

}  // namespace
}  // namespace troupe
