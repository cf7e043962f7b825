//! The crate `tokenizers` behind a small C interface. What each function promises stands in tokenizer.h.

use std::ffi::{c_char, c_void, CStr, CString};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr::{null, null_mut};

use tokenizers::{Encoding, PostProcessor, Tokenizer, TruncationDirection, TruncationParams};

/// Spellings of the padding token, for files that bake in no padding.
const PADDING_TOKENS: [&str; 3] = ["[PAD]", "<pad>", "<|padding|>"];

/// How much of a long text is looked at first, for each token that fits: several times what any language takes.
const BYTES_PER_TOKEN: usize = 32;

#[derive(Debug)]
pub struct TroupeTokenizer {
    tokenizer: Tokenizer,
    largest_id: u32,
    padding_id: u32,
}

#[repr(C)]
pub struct TroupeEncoding {
    ids: *const u32,
    type_ids: *const u32,
    length: usize,
    dropped: usize,
    encoding: *mut c_void,
}

#[repr(C)]
#[derive(Debug, PartialEq, Eq)]
pub enum Status {
    Ok = 0,
    InvalidUtf8 = 1,
    Failed = 2,
}

/// Runs `work`; a panic in it becomes an error like any other.
fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(format!("the tokeniser panicked: {}", text.unwrap_or("without a word")))
    })
}

/// Leaves `text` with the caller.
unsafe fn set_error(error: *mut *mut c_char, text: String) {
    if !error.is_null() {
        *error = CString::new(text.replace('\0', " ")).unwrap_or_default().into_raw();
    }
}

/// The bytes at `data`, which may be null when there are none.
unsafe fn bytes<'a>(data: *const u8, size: usize) -> &'a [u8] {
    if size == 0 {
        &[]
    } else {
        std::slice::from_raw_parts(data, size)
    }
}

fn configure(mut tokenizer: Tokenizer, max_tokens: usize) -> Result<TroupeTokenizer, String> {
    let baked = tokenizer.get_padding().map(|padding| padding.pad_id);
    let named = PADDING_TOKENS.iter().find_map(|name| tokenizer.token_to_id(name));
    let largest_id = tokenizer.get_vocab(true).into_values().max();
    let largest_id = largest_id.ok_or("the vocabulary is empty")?;
    let special = tokenizer.get_post_processor().map_or(0, |processor| processor.added_tokens(false));
    if max_tokens != 0 && max_tokens <= special {
        return Err(format!("{max_tokens} tokens leave no room beside {special} special ones"));
    }
    let direction = tokenizer.get_truncation().map(|truncation| truncation.direction).unwrap_or_default();
    let truncation = TruncationParams { max_length: max_tokens, direction, ..Default::default() };
    tokenizer.with_padding(None).with_truncation((max_tokens != 0).then_some(truncation)).map_err(|e| e.to_string())?;
    Ok(TroupeTokenizer { tokenizer, largest_id, padding_id: baked.or(named).unwrap_or(0) })
}

fn load(json: &[u8], max_tokens: usize) -> Result<TroupeTokenizer, String> {
    configure(Tokenizer::from_bytes(json).map_err(|e| e.to_string())?, max_tokens)
}

fn hand_over(loaded: Result<TroupeTokenizer, String>, error: *mut *mut c_char) -> *mut TroupeTokenizer {
    match loaded {
        Ok(tokenizer) => Box::into_raw(Box::new(tokenizer)),
        Err(text) => {
            unsafe { set_error(error, text) };
            null_mut()
        }
    }
}

/// # Safety
/// As tokenizer.h says.
#[no_mangle]
pub unsafe extern "C" fn troupe_tokenizer_load(
    json: *const u8,
    size: usize,
    max_tokens: usize,
    error: *mut *mut c_char,
) -> *mut TroupeTokenizer {
    hand_over(guarded(|| load(bytes(json, size), max_tokens)), error)
}

/// # Safety
/// As tokenizer.h says.
#[no_mangle]
pub unsafe extern "C" fn troupe_tokenizer_load_file(
    path: *const c_char,
    max_tokens: usize,
    error: *mut *mut c_char,
) -> *mut TroupeTokenizer {
    let work = || {
        let path = CStr::from_ptr(path).to_str().map_err(|e| e.to_string())?;
        load(&std::fs::read(path).map_err(|e| e.to_string())?, max_tokens)
    };
    hand_over(guarded(work), error)
}

/// # Safety
/// As tokenizer.h says.
#[no_mangle]
pub unsafe extern "C" fn troupe_tokenizer_free(tokenizer: *mut TroupeTokenizer) {
    if !tokenizer.is_null() {
        drop(Box::from_raw(tokenizer));
    }
}

/// # Safety
/// As tokenizer.h says.
#[no_mangle]
pub unsafe extern "C" fn troupe_tokenizer_largest_id(tokenizer: *const TroupeTokenizer) -> u32 {
    (*tokenizer).largest_id
}

/// # Safety
/// As tokenizer.h says.
#[no_mangle]
pub unsafe extern "C" fn troupe_tokenizer_padding_id(tokenizer: *const TroupeTokenizer) -> u32 {
    (*tokenizer).padding_id
}

/// The tokens of the text that are in no part but those cut off.
fn count_dropped(encoding: &Encoding) -> usize {
    let own = |part: &Encoding| part.get_special_tokens_mask().iter().filter(|&&special| special == 0).count();
    encoding.get_overflowing().iter().map(own).sum()
}

/// The tokens of `text`, and how many were cut off.
fn encode(tokenizer: &Tokenizer, text: &str) -> Result<(Encoding, usize), String> {
    let mut encoded = tokenizer.encode_fast(text, true).map_err(|e| e.to_string())?;
    let dropped = count_dropped(&encoded);
    encoded.take_overflowing();
    Ok((encoded, dropped))
}

/// The start of `text` up to a space, when it is worth looking at that first: a text of a megabyte has some thousand
/// times the tokens that fit, and encoding can't be interrupted.
fn beginning<'a>(tokenizer: &Tokenizer, text: &'a str) -> Option<&'a str> {
    let truncation = tokenizer.get_truncation()?;
    let size = truncation.max_length.saturating_mul(BYTES_PER_TOKEN);
    if truncation.direction != TruncationDirection::Right || size >= text.len() {
        return None;
    }
    let end = text.as_bytes()[..size].iter().rposition(u8::is_ascii_whitespace)?;
    Some(&text[..end])
}

/// As `encode`, but quick for a long text: if its beginning alone has more words than fit, the rest can't matter. Half
/// as many tokens again must be left over, so that nothing near the end of the beginning has a say.
fn encode_quickly(tokenizer: &Tokenizer, text: &str) -> Result<(Encoding, usize), String> {
    if let Some(beginning) = beginning(tokenizer, text) {
        let (encoded, dropped) = encode(tokenizer, beginning)?;
        if dropped > encoded.len() / 2 {
            return Ok((encoded, dropped));
        }
    }
    encode(tokenizer, text)
}

/// # Safety
/// As tokenizer.h says.
#[no_mangle]
pub unsafe extern "C" fn troupe_tokenizer_encode(
    tokenizer: *const TroupeTokenizer,
    text: *const u8,
    size: usize,
    encoding: *mut TroupeEncoding,
    valid_up_to: *mut usize,
    error: *mut *mut c_char,
) -> Status {
    let text = match std::str::from_utf8(bytes(text, size)) {
        Ok(text) => text,
        Err(wrong) => {
            *valid_up_to = wrong.valid_up_to();
            return Status::InvalidUtf8;
        }
    };
    match guarded(|| encode_quickly(&(*tokenizer).tokenizer, text)) {
        Ok((encoded, dropped)) => {
            let encoded = Box::new(encoded);
            *encoding = TroupeEncoding {
                ids: encoded.get_ids().as_ptr(),
                type_ids: encoded.get_type_ids().as_ptr(),
                length: encoded.len(),
                dropped,
                encoding: Box::into_raw(encoded).cast(),
            };
            Status::Ok
        }
        Err(text) => {
            set_error(error, text);
            Status::Failed
        }
    }
}

/// # Safety
/// As tokenizer.h says.
#[no_mangle]
pub unsafe extern "C" fn troupe_encoding_free(encoding: *mut TroupeEncoding) {
    if !(*encoding).encoding.is_null() {
        drop(Box::from_raw((*encoding).encoding.cast::<Encoding>()));
    }
    *encoding = TroupeEncoding { ids: null(), type_ids: null(), length: 0, dropped: 0, encoding: null_mut() };
}

/// # Safety
/// As tokenizer.h says.
#[no_mangle]
pub unsafe extern "C" fn troupe_tokenizer_free_text(text: *mut c_char) {
    if !text.is_null() {
        drop(CString::from_raw(text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: &str = r#"{
        "version": "1.0", "added_tokens": [],
        "truncation": {"max_length": 2, "strategy": "LongestFirst", "stride": 0, "direction": "Right"},
        "padding": {"strategy": {"Fixed": 9}, "direction": "Right", "pad_to_multiple_of": null,
                    "pad_id": 3, "pad_type_id": 0, "pad_token": "p"},
        "normalizer": null, "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null, "decoder": null,
        "model": {"type": "WordLevel", "vocab": {"a": 0, "b": 1, "u": 2, "p": 3}, "unk_token": "u"}}"#;

    fn encode(tokenizer: &TroupeTokenizer, text: &[u8]) -> Result<(Vec<u32>, usize), (Status, usize)> {
        let mut out = TroupeEncoding { ids: null(), type_ids: null(), length: 0, dropped: 0, encoding: null_mut() };
        let (mut valid_up_to, mut error) = (0, null_mut());
        unsafe {
            match troupe_tokenizer_encode(tokenizer, text.as_ptr(), text.len(), &mut out, &mut valid_up_to, &mut error)
            {
                Status::Ok => {
                    let ids = bytes(out.ids.cast(), out.length * 4).chunks(4);
                    let ids = ids.map(|id| u32::from_ne_bytes(id.try_into().unwrap())).collect();
                    let dropped = out.dropped;
                    troupe_encoding_free(&mut out);
                    Ok((ids, dropped))
                }
                status => Err((status, valid_up_to)),
            }
        }
    }

    #[test]
    fn what_the_file_bakes_in_is_ignored() {
        let tokenizer = load(WORDS.as_bytes(), 0).unwrap();
        assert_eq!(encode(&tokenizer, b"a b a b c"), Ok((vec![0, 1, 0, 1, 2], 0)));
        assert_eq!((tokenizer.largest_id, tokenizer.padding_id), (3, 3));
    }

    #[test]
    fn what_is_cut_off_is_counted() {
        let tokenizer = load(WORDS.as_bytes(), 3).unwrap();
        assert_eq!(encode(&tokenizer, b"a b a"), Ok((vec![0, 1, 0], 0)));
        assert_eq!(encode(&tokenizer, b"a b a b a b a b"), Ok((vec![0, 1, 0], 5)));
    }

    #[test]
    fn the_beginning_of_a_long_text_is_enough() {
        let tokenizer = load(WORDS.as_bytes(), 4).unwrap();
        let long = "a b ".repeat(1000);
        let (ids, dropped) = encode(&tokenizer, long.as_bytes()).unwrap();
        assert_eq!(ids, vec![0, 1, 0, 1]);
        assert!((3..128).contains(&dropped));
        let late = " ".repeat(1000) + "b b b";
        assert_eq!(encode(&tokenizer, late.as_bytes()), Ok((vec![1, 1, 1], 0)));
    }

    #[test]
    fn the_first_wrong_byte_is_named() {
        let tokenizer = load(WORDS.as_bytes(), 3).unwrap();
        assert_eq!(encode(&tokenizer, b"a b \xff"), Err((Status::InvalidUtf8, 4)));
    }

    #[test]
    fn a_panic_is_an_error() {
        assert_eq!(guarded::<()>(|| panic!("no")), Err("the tokeniser panicked: no".to_string()));
    }

    #[test]
    fn rubbish_is_an_error() {
        assert!(load(b"{\"version\": \"1.0\"", 0).is_err());
        assert!(load(b"", 0).is_err());
    }
}
