#include "skillsets/text_embedding/bert_config.hpp"

#include "skillsets/text_embedding/test_model.hpp"

#include <gmock/gmock.h>

#include <fstream>
#include <nlohmann/json.hpp>

namespace troupe {
namespace {

using nlohmann::json;
using testing::HasSubstr;

TEST(bert_config, reads_minilm) {
  const auto config = read_bert_config(minilm / "config.json");
  ASSERT_TRUE(config) << config.error().cause;
  EXPECT_EQ(config->vocab_size, 30522);
  EXPECT_EQ(config->hidden_size, 384);
  EXPECT_EQ(config->num_hidden_layers, 6);
  EXPECT_EQ(config->num_attention_heads, 12);
  EXPECT_EQ(config->intermediate_size, 1536);
  EXPECT_EQ(config->max_position_embeddings, 512);
  EXPECT_EQ(config->type_vocab_size, 2);
  EXPECT_EQ(config->layer_norm_eps, 1e-12);
}

TEST(bert_config, names_the_key_that_is_wrong) {
  std::ifstream original{minilm / "config.json"};
  const auto good = json::parse(original);
  const test_folder folder;
  for (const auto& [key, value] :
       std::initializer_list<std::pair<const char*, json>>{{"model_type", "mpnet"},
                                                           {"model_type", nullptr},
                                                           {"hidden_act", "gelu_new"},
                                                           {"hidden_act", 1},
                                                           {"position_embedding_type", "relative_key"},
                                                           {"vocab_size", 0},
                                                           {"vocab_size", -1},
                                                           {"vocab_size", 1e30},
                                                           {"vocab_size", "30522"},
                                                           {"hidden_size", 385},
                                                           {"num_hidden_layers", 10'000'001},
                                                           {"num_attention_heads", 0},
                                                           {"intermediate_size", nullptr},
                                                           {"max_position_embeddings", 0.5},
                                                           {"type_vocab_size", 18446744073709551615U},
                                                           {"layer_norm_eps", 0},
                                                           {"layer_norm_eps", "tiny"}}) {
    auto bad = good;
    bad[key] = value;
    std::ofstream{folder.path / "config.json"} << bad;
    const auto config = read_bert_config(folder.path / "config.json");
    ASSERT_FALSE(config) << key << value;
    EXPECT_EQ(config.error().code, status_code::invalid_argument);
    EXPECT_THAT(config.error().cause, HasSubstr(std::string{"'"} + key + "'"));
    EXPECT_THAT(config.error().cause, HasSubstr("config.json"));
    EXPECT_FALSE(config.error().remedy.empty());
  }
}

TEST(bert_config, refuses_a_file_without_an_object) {
  const test_folder folder;
  for (const auto* content : {"", "[]", "{", "\xff", "null"}) {
    std::ofstream{folder.path / "config.json"} << content;
    const auto config = read_bert_config(folder.path / "config.json");
    ASSERT_FALSE(config);
    EXPECT_EQ(config.error().code, status_code::invalid_argument);
  }
  EXPECT_EQ(read_bert_config(folder.path / "nothing").error().code, status_code::not_found);
}

TEST(bert_config, reads_the_longest_text) {
  const test_folder folder;
  const auto path = folder.path / "sentence_bert_config.json";
  std::ofstream{path} << R"({"max_seq_length": 256, "do_lower_case": false})";
  EXPECT_EQ(*read_max_seq_length(path), 256);
  std::ofstream{path} << R"({"max_seq_length": 0})";
  EXPECT_FALSE(read_max_seq_length(path));
}

}  // namespace
}  // namespace troupe
