//! Fuzzes `batch`; what is checked is in `src/lib.rs`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| hearth_fuzz::host::batch(data));
