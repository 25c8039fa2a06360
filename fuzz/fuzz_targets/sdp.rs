#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rollcall_fuzz::media::sdp(
    std::time::Instant::now(),
    data
));
