#ifndef TROUPE_TOKENIZER_H
#define TROUPE_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// The crate `tokenizers`, the reference implementation of every tokenizer.json, for C and C++.
///
/// A tokeniser never changes after loading, so any number of threads may encode with it at once. No panic leaves these
/// functions: each becomes an error text. Error texts are UTF-8 and belong to the caller, who gives them back with
/// troupe_tokenizer_free_text.
typedef struct troupe_tokenizer troupe_tokenizer;

/// What a text became. The arrays have `length` elements and live until troupe_encoding_free.
typedef struct {
  const uint32_t* ids;
  const uint32_t* type_ids;
  size_t length;
  size_t dropped;   ///< tokens that truncation cut off, of a long text at least; 0: it fitted
  void* encoding_;  ///< who owns the arrays
} troupe_encoding;

typedef enum {
  TROUPE_TOKENIZER_OK = 0,
  TROUPE_TOKENIZER_INVALID_UTF8 = 1,  ///< the text is not UTF-8
  TROUPE_TOKENIZER_FAILED = 2,        ///< the error text says why
} troupe_tokenizer_status;

/// Loads the `size` bytes of a tokenizer.json at `json` (WordPiece, BPE, Unigram or WordLevel). Texts are cut to
/// `max_tokens` tokens, special ones included, on the side that the file names; 0: never. Truncation length and padding
/// that the file bakes in are ignored. Returns null and sets `*error` when the bytes are no tokeniser or
/// `max_tokens` leaves no room beside the special tokens. The caller owns the result.
troupe_tokenizer* troupe_tokenizer_load(const uint8_t* json, size_t size, size_t max_tokens, char** error);

/// The same from a file, whose path is UTF-8 and ends with a zero byte.
troupe_tokenizer* troupe_tokenizer_load_file(const char* path, size_t max_tokens, char** error);

/// Frees a tokeniser; null is fine.
void troupe_tokenizer_free(troupe_tokenizer* tokenizer);

/// The largest id that it can give.
uint32_t troupe_tokenizer_largest_id(const troupe_tokenizer* tokenizer);

/// The id to fill shorter texts up with: the padding token's, 0 when there is none.
uint32_t troupe_tokenizer_padding_id(const troupe_tokenizer* tokenizer);

/// Encodes `size` bytes of UTF-8, with the special tokens. On OK fills `*encoding`, which the caller frees. On
/// INVALID_UTF8 sets `*valid_up_to` to the offset of the first byte that is wrong. On FAILED sets `*error`. Of a text
/// far longer than fits only the beginning is tokenised, up to a space after which nothing can matter any more.
troupe_tokenizer_status troupe_tokenizer_encode(const troupe_tokenizer* tokenizer, const uint8_t* text, size_t size,
                                                troupe_encoding* encoding, size_t* valid_up_to, char** error);

/// Frees what an encoding holds, and empties it.
void troupe_encoding_free(troupe_encoding* encoding);

/// Frees an error text; null is fine.
void troupe_tokenizer_free_text(char* text);

#ifdef __cplusplus
}
#endif

#endif
