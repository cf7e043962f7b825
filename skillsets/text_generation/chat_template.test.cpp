#include "skillsets/text_generation/chat_template.hpp"

#include <gtest/gtest.h>

namespace troupe {
namespace {

/// The template of SmolLM2, which knows no tools.
const chat_template& smollm2() {
  static const auto model = [] {
    model_settings settings;
    settings.name = "smollm2";
    settings.files["weights"] = TROUPE_MODEL_SMOLLM2 "/SmolLM2-135M-Instruct.Q4_1.gguf";
    settings.device = "CPU";
    return *llama::load(settings, {});
  }();
  static const auto chats = *chat_template::of(*model);
  return *chats;
}

generation_request chat(std::string messages, std::string tools = {}) {
  generation_request request;
  request.format = prompt_format::chat;
  request.input = std::move(messages);
  request.tools = std::move(tools);
  return request;
}

constexpr auto weather =
    R"([{"type":"function","function":{"name":"weather","parameters":{"type":"object","properties":{"city":{"type":"string"}}}}}])";

TEST(chat_template, writes_a_chat_as_the_model_reads_it) {
  const auto rendered = smollm2().render(
      chat(R"([{"role":"system","content":"Be brief."},{"role":"user","content":[{"type":"text","text":"Hi"},
      {"type":"text","text":"there"}]},{"role":"assistant","content":"Hello!"},{"role":"user","content":"Bye"}])"));
  ASSERT_TRUE(rendered) << rendered.error().cause;
  EXPECT_EQ(
      rendered->prompt,
      "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi\nthere<|im_end|>\n<|im_start|>assistant\nHello!"
      "<|im_end|>\n<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\n");
  EXPECT_TRUE(rendered->form.empty());
}

TEST(chat_template, tells_tools_to_a_model_that_knows_none) {
  const auto rendered = smollm2().render(chat(
      R"([{"role":"user","content":"Weather?"},{"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":{
          "name":"weather","arguments":"{\"city\": \"Rome\"}"}}]},{"role":"tool","tool_call_id":"1","content":"sunny"}])",
      weather));
  ASSERT_TRUE(rendered) << rendered.error().cause;
  const auto& prompt = rendered->prompt;
  EXPECT_NE(prompt.find("<tools>\n{\"name\":\"weather\""), std::string::npos) << prompt;
  EXPECT_NE(prompt.find("<|im_start|>assistant\n<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": "
                        "\"Rome\"}}\n</tool_call><|im_end|>"),
            std::string::npos)
      << prompt;
  EXPECT_NE(prompt.find("<|im_start|>user\n<tool_response>\nsunny\n</tool_response><|im_end|>"), std::string::npos)
      << prompt;
  EXPECT_TRUE(rendered->form.lazy);
}

TEST(chat_template, holds_the_model_to_the_tool_that_it_has_to_call) {
  auto request = chat(R"([{"role":"user","content":"Weather?"}])", weather);
  request.choice = {tool_choice::kind::required, "weather"};
  const auto rendered = smollm2().render(request);
  ASSERT_TRUE(rendered) << rendered.error().cause;
  EXPECT_FALSE(rendered->form.lazy);
  EXPECT_NE(rendered->form.grammar.find("weather"), std::string::npos);
}

TEST(chat_template, takes_tools_that_no_grammar_can_say_unless_they_are_strict) {
  auto tools =
      std::string{R"([{"type":"function","function":{"name":"f","parameters":{"type":"object","minProperties":2}}}])"};
  EXPECT_TRUE(smollm2().render(chat(R"([{"role":"user","content":"x"}])", tools)));
  tools.insert(tools.find("\"name\""), "\"strict\":true,");
  const auto strict = smollm2().render(chat(R"([{"role":"user","content":"x"}])", tools));
  ASSERT_FALSE(strict);
  EXPECT_NE(strict.error().cause.find("#/minProperties"), std::string::npos) << strict.error().cause;
}

}  // namespace
}  // namespace troupe
