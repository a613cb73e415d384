use std::collections::BTreeMap;
use xenstore_oracle::{
    blank::Caretaker,
    compare,
    daemon::Daemon,
    generate,
    history::History,
    random::Random,
    rules,
    session::Session,
    target::{InProcess, Target},
};
fn main() {
    let mut a = std::env::args().skip(1);
    let which = a.next().unwrap();
    let n: u64 = a.next().unwrap().parse().unwrap();
    let show: usize = a.next().unwrap().parse().unwrap();
    let d = if which == "c" { Daemon::c() } else { Daemon::ocaml() };
    let peer = if which == "c" { rules::Peer::C } else { rules::Peer::Ocaml };
    let e = InProcess::default();
    let mut cd = Caretaker::new(&d);
    let mut ce = Caretaker::new(&e);
    let mut seen: BTreeMap<String, (usize, Vec<String>)> = BTreeMap::new();
    let mut total = 0;
    let mut hits: BTreeMap<&str, usize> = BTreeMap::new();
    let t = std::time::Instant::now();
    for seed in std::env::var("START").map_or(0, |x| x.parse().unwrap())..n {
        let steps = generate::sequence(&mut Random::new(seed), 40);
        cd.reset();
        ce.reset();
        let mut sd = Session::new(&d);
        let mut se = Session::new(&e);
        let mut h = History::default();
        'seq: for (i, s) in steps.iter().enumerate() {
            if std::env::var("TRACE").is_ok() {
                eprintln!("{seed} {i} {s:?}");
            }

            if rules::unasked(peer, s).is_some() {
                continue;
            }
            total += 1;
            let o = se.perform(s);
            let th = sd.perform(s);
            let mut stop = false;
            for asp in compare::differences(s, &o, &th) {
                let case = rules::Case { peer, step: s, history: &h, ours: &o, theirs: &th };
                match rules::rule(&case, &asp) {
                    Some(r) => {
                        *hits.entry(r.title).or_default() += 1;
                        stop |= case.parts();
                    }
                    None => {
                        stop = true;
                        let key = format!(
                            "{} {:?}{} {} vs {}",
                            xenstore_oracle::message::name_of(s.kind),
                            match asp {
                                compare::Aspect::Events(_) => "Events".into(),
                                ref x => format!("{x:?}"),
                            },
                            if h.transaction(s).is_some() { " in tx" } else { "" },
                            brief(&o.reply),
                            brief(&th.reply)
                        );
                        let en = seen.entry(key).or_default();
                        en.0 += 1;
                        if en.1.len() < show {
                            let mut txt = format!(
                                "seed {seed} step {i} {s:?}\n   ours   {o:?}\n   theirs {th:?}"
                            );
                            if std::env::var("CTX").is_ok_and(|x| x == "1") {
                                for p in &steps[..i] {
                                    txt += &format!("\n      {p:?}");
                                }
                            }
                            en.1.push(txt);
                        }
                    }
                }
            }
            stop |= rules::Case { peer, step: s, history: &h, ours: &o, theirs: &th }.drifts();
            h.note(s, &o);
            if stop {
                break 'seq;
            }
            if i == 39 {
                let (x, y) = (ce.dump(), cd.dump());
                if x != y {
                    let en = seen.entry("DUMP".into()).or_default();
                    en.0 += 1;
                    if en.1.len() < show {
                        en.1.push(format!("seed {seed}\n {x:?}\n {y:?}"));
                    }
                }
            }
        }
    }
    for (k, (c, v)) in &seen {
        println!("{c:5} {k}");
        for x in v {
            println!("      {x}");
        }
    }
    println!("{hits:#?} {total} requests {:?}", t.elapsed());
}
fn brief(r: &xenstore_oracle::session::Reply) -> String {
    use xenstore_oracle::session::Reply as R;
    match r {
        R::Granted(_) => "ok".into(),
        R::Refused(x) => x.clone(),
        o => format!("{o:?}"),
    }
}
