#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    ilsvrc_hostile::binaryproto(data);
});
