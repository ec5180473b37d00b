//! Ranks that meet at a small store of these tests' own.

use super::*;
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

const SHORT: Duration = Duration::from_millis(1);

#[derive(Default)]
struct Kept {
    counts: HashMap<String, i64>,
    texts: HashMap<String, Vec<u8>>,
}

/// A store; its counts and texts.
fn serve() -> (Agent, Arc<Mutex<Kept>>) {
    let kept = Arc::new(Mutex::new(Kept::default()));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let all = kept.clone();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let all = all.clone();
            thread::spawn(move || answer(stream.unwrap(), &all));
        }
    });
    (Agent { host: "127.0.0.1".into(), port, run: "test".into() }, kept)
}

/// Until the other side hangs up.
fn answer(mut stream: TcpStream, kept: &Mutex<Kept>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut hello = [0; 5];
    stream.read_exact(&mut hello)?;
    loop {
        let mut request = [0];
        stream.read_exact(&mut request)?;
        let key = String::from_utf8(text(&mut stream)?).unwrap();
        match request[0] {
            1 => {
                let text = text(&mut stream)?;
                kept.lock().unwrap().texts.insert(key, text);
            }
            3 => {
                let text = kept.lock().unwrap().texts[&key].clone();
                stream.write_all(&[&(text.len() as u64).to_ne_bytes(), &text[..]].concat())?;
            }
            4 => {
                let mut change = [0; 8];
                stream.read_exact(&mut change)?;
                let mut kept = kept.lock().unwrap();
                let count = kept.counts.entry(key).or_default();
                *count += i64::from_ne_bytes(change);
                stream.write_all(&count.to_ne_bytes())?;
            }
            other => panic!("no request is {other}"),
        }
    }
}

fn text(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 8];
    stream.read_exact(&mut length)?;
    let mut text = vec![0; u64::from_ne_bytes(length) as usize];
    stream.read_exact(&mut text)?;
    Ok(text)
}

fn counts(agent: &Agent, rank: usize, size: usize) -> Counts {
    let store = Store::connect(&agent.host, agent.port, SILENCE).unwrap();
    Counts { store, run: agent.run.clone(), rank, seen: vec![None; size], word: None }
}

/// Three ranks that have met, and when.
fn met(agent: &Agent) -> (Vec<(Counts, Pulse)>, Instant) {
    let begin = Instant::now();
    let meet = |rank| {
        let mut counts = counts(agent, rank, 3);
        let hosts = counts.meet(&format!("host-{rank}"), SILENCE).unwrap().unwrap();
        let pulse = Pulse::new(rank, hosts, begin);
        (counts, pulse)
    };
    let ranks = thread::scope(|scope| {
        let ranks = [0, 1, 2].map(|rank| scope.spawn(move || meet(rank)));
        ranks.map(|rank| rank.join().unwrap()).into()
    });
    (ranks, begin)
}

/// The ranks beat once, in this order.
fn beat(ranks: &mut [(Counts, Pulse)], order: &[usize], now: Instant) -> Vec<Option<(String, Duration)>> {
    let looked = order.iter().map(|rank| {
        let (counts, pulse) = &mut ranks[*rank];
        look(counts, pulse, || now).unwrap().map(|(error, wait)| (error.message, wait))
    });
    looked.collect()
}

#[test]
fn a_silent_rank_is_named_by_rank_0_to_all() {
    let (agent, _) = serve();
    let (mut ranks, begin) = met(&agent);
    assert_eq!(ranks[1].1.hosts, ["host-0", "host-1", "host-2"]);
    for second in 1..60 {
        assert_eq!(beat(&mut ranks, &[0, 1, 2], begin + BEAT * second), [None, None, None]);
    }
    // Rank 2 stops beating. Rank 0 may hear its last beat one second late.
    let frozen = begin + BEAT * 60;
    for second in 0..=15 {
        assert_eq!(beat(&mut ranks, &[0, 1], frozen + BEAT * second), [None, None]);
    }
    let message = "rank 2 on host-2 has not been heard of for 15 s".to_string();
    let now = frozen + BEAT * 16;
    let told = beat(&mut ranks, &[0, 1], now);
    assert_eq!(told, [Some((message.clone(), 2 * BEAT)), Some((message.clone(), PATIENCE))]);
    // When it goes on, it hears of itself.
    assert_eq!(beat(&mut ranks, &[2], now + BEAT), [Some((message, PATIENCE))]);
}

#[test]
fn rank_0_is_named_by_rank_1() {
    let (agent, _) = serve();
    let (mut ranks, begin) = met(&agent);
    // One of them may have met before rank 0's last beat there, another after it: both hear this one.
    assert_eq!(beat(&mut ranks, &[0, 1, 2], begin), [None, None, None]);
    let found = (1..30).find_map(|second| {
        let told = beat(&mut ranks, &[1, 2], begin + BEAT * second);
        told.iter().any(Option::is_some).then_some((second, told))
    });
    let message = "rank 0 on host-0 has not been heard of for 15 s".to_string();
    let (second, told) = found.unwrap();
    assert_eq!(second, 16);
    assert_eq!(told, [Some((message.clone(), 2 * BEAT)), Some((message.clone(), PATIENCE))]);
    // When it goes on, it hears of itself.
    assert_eq!(beat(&mut ranks, &[0], begin + BEAT * second), [Some((message, PATIENCE))]);
}

#[test]
fn what_a_run_before_has_left_is_no_sign_of_life() {
    let (agent, kept) = serve();
    {
        let mut kept = kept.lock().unwrap();
        for rank in 0..2 {
            kept.counts.insert(format!("ilsvrc/test/{rank}"), 70);
            kept.texts.insert(format!("ilsvrc/test/{rank}/host"), b"of-old".to_vec());
        }
        kept.counts.insert("ilsvrc/test/lost".into(), 2);
    }
    assert_eq!(counts(&agent, 1, 2).meet("b", SHORT).unwrap(), Err(vec![0]));
    let (mut zero, mut one) = (counts(&agent, 0, 2), counts(&agent, 1, 2));
    thread::scope(|scope| {
        let zero = scope.spawn(move || zero.meet("a", SILENCE).unwrap());
        assert_eq!(one.meet("b", SILENCE).unwrap().unwrap(), ["a", "b"]);
        assert_eq!(zero.join().unwrap().unwrap(), ["a", "b"]);
    });
    assert_eq!(one.beat([0]).unwrap().1, None);
}

#[test]
fn those_who_do_not_come_are_named() {
    let (agent, _) = serve();
    assert_eq!(counts(&agent, 1, 4).meet("b", SHORT).unwrap(), Err(vec![0, 2, 3]));
    let error = not_there(&[0, 2, 3]);
    assert_eq!((error.code, &error.message[..]), (RANK_LOST, "ranks 0, 2, 3 have not come for 300 s"));
    assert_eq!(not_there(&[3]).message, "rank 3 has not come for 300 s");
}

#[test]
fn what_is_no_store_is_told() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let agent = Agent { host: "127.0.0.1".into(), port: closed, run: "test".into() };
    let error = Heartbeat::start(&agent, (0, 2), "a").err().unwrap();
    assert_eq!(error.code, RANKS_UNAVAILABLE);
    assert_eq!(error.message, format!("the store of torchrun at 127.0.0.1:{closed} cannot be used"));

    // Its counts are not counted, and its word is of a rank that there is not.
    let (agent, kept) = serve();
    let mut zero = counts(&agent, 0, 2);
    zero.beat([1]).unwrap();
    kept.lock().unwrap().counts.insert("ilsvrc/test/lost".into(), 3);
    assert!(zero.beat([1]).unwrap_err().to_string().contains("it says 3"));
    kept.lock().unwrap().counts.insert("ilsvrc/test/0".into(), i64::MAX - 1);
    assert!(zero.beat([1]).unwrap_err().to_string().contains("one more than 2 is"));
}

#[test]
fn a_store_that_is_gone_is_a_lost_host() {
    let agent = Agent { host: "head".into(), port: 29500, run: "test".into() };
    let silent = agent.lost(&ErrorKind::WouldBlock.into());
    assert_eq!(silent.code, RANK_LOST);
    assert_eq!(silent.message, "the store of torchrun at head:29500 has not answered for 15 s");
    let closed = agent.lost(&ErrorKind::UnexpectedEof.into());
    assert_eq!(closed.message, "the store of torchrun at head:29500 has closed the connection");
    let reset = agent.lost(&ErrorKind::ConnectionReset.into());
    assert_eq!(reset.message, "the store of torchrun at head:29500 is gone: connection reset");
}
