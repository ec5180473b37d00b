//! Prints the folder of the driver without a GPU, for `LD_LIBRARY_PATH`:
//! `LD_LIBRARY_PATH=$(cargo run -q -p ilsvrc-cuda-mock --example folder) ./ilsvrc doctor`

fn main() {
    println!("{}", ilsvrc_cuda_mock::LIBRARY_FOLDER);
}
