#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rollcall_fuzz::media::srtp(
    std::time::Instant::now(),
    data
));
