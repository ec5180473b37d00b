//! How long sums take when nothing is computed meanwhile: the link that ranks have, as `ilsvrc estimate --link` asks for it.
//!
//! ```sh
//! cargo build --release -p ilsvrc-collective --features mpi --example sums && mpirun -np 2 target/release/examples/sums
//! ```
//!
//! Rank 0 prints JSON: the number of ranks, and the median seconds of a sum of so many bytes.

use ilsvrc_collective::Mpi;
use ilsvrc_diagnostics::Result;
use ilsvrc_network::Collective;
use std::time::Instant;

const REPEATS: usize = 31;

fn main() -> Result<()> {
    let ranks = Mpi::join()?;
    let mut sums = Vec::new();
    for bytes in [4 << 10, 4 << 20, 16 << 20] {
        let mut values = vec![1.0f32; bytes / 4];
        let mut seconds = Vec::new();
        for _ in 0..REPEATS {
            // All begin together.
            ranks.sum_exact(vec![0.0])?;
            let begin = Instant::now();
            values = ranks.sum(values)?;
            seconds.push(begin.elapsed().as_secs_f64());
            values.fill(1.0);
        }
        seconds.sort_by(f64::total_cmp);
        sums.push(format!(r#"{{"bytes":{bytes},"seconds":{}}}"#, seconds[REPEATS / 2]));
    }
    if ranks.rank() == 0 {
        println!(r#"{{"ranks":{},"sums":[{}]}}"#, ranks.size(), sums.join(","));
    }
    ranks.leave()
}
